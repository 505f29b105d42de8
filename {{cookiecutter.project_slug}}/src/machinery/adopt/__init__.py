"""Replace the sample of a new project with a table of the user."""
