"""A reproducible machine-learning pipeline; its stages are listed in dvc.yaml."""
