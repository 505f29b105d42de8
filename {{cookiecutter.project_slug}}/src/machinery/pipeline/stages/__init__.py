"""The stages of dvc.yaml: one module each, and they meet only in files."""
