"""All that `dvc repro` runs: the one folder of the machinery that stages depend on."""
