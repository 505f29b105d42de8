"""Predictions for files of any size."""
