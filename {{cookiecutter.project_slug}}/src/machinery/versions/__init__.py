"""Releases, rollback, lineage, and the checks of a checkout."""
