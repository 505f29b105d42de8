"""The contract, and the checks of tables and features against it."""
