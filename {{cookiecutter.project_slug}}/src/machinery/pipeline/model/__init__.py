"""The model file: how it is built, converted, scored, calibrated and checked."""
