"""The machinery: all that is the same in every project made from the template."""
