"""This project: where its table comes from, its features, and the models that compete."""
