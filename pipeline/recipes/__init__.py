"""Named sets of parameters: `python -m pipeline.recipes`."""
