"""The model behind HTTP; no torch."""
