"""The contract, and what holds tables and features to it."""
