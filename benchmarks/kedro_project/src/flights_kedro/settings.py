"""Kedro's default settings."""
