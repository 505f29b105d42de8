"""What CI jobs do: reproduce, record, comment, alarms, retrain, publish."""
