"""The prediction log, window by window: outcomes, data quality, drift, and when to retrain."""
