"""The whole network as ONNX graphs without weights, which run without torch."""
