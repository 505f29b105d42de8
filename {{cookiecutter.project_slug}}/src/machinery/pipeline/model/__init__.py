"""The model file: built, converted to ONNX, scored, calibrated and checked here."""

import os

# ONNX Runtime sends telemetry from its import on; only this variable, set before, stops it.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
