"""The code that `dvc repro` runs, and the only folder of the machinery that stages depend on."""
