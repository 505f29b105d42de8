"""Search hyperparameters with Optuna; each trial is a DVC experiment."""
