"""The model behind HTTP, and the log of what it answered."""
