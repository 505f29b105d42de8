"""The commands of the project, a module for each kind; cli.py puts them together."""
