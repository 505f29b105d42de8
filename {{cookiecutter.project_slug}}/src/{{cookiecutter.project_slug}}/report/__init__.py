"""The report on a pull request: champion and challenger on the same rows, and what changed."""
