"""Files of any size in, the same rows with their predictions out."""
