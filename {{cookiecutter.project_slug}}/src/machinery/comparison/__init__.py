"""Compare champion and challenger on the same rows: the report on a pull request."""
