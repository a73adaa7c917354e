"""Images decoded once into memory-mapped uint8 arrays."""
