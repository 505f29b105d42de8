"""What the jobs of the code host do: comment, retrain, publish."""
