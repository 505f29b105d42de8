"""The stages of dvc.yaml: one module each, which share only files."""
