"""The user's part of the project: source, features and candidates."""
