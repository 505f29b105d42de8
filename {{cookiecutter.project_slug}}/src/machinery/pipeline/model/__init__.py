"""The model file: how it is built, converted, scored, calibrated and checked."""

import os

# ONNX Runtime reports home from its import on, whoever imports it: a command, a test, a notebook.
# No call to it stops that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
