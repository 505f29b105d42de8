"""search: hyperparameters that score better in cross-validation, found by Optuna over DVC."""
