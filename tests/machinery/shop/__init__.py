"""A project for the machinery's tests: which parcels of a shop will be late."""
