"""What the jobs of the code host do: comment, alarms, retrain, publish."""
