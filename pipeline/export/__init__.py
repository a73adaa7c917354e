"""From checkpoint to a proved ONNX file."""
