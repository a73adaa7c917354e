"""Predictions from the ONNX file alone; no torch."""
