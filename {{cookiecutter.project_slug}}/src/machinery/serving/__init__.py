"""The HTTP service and its prediction log."""
