"""Which images are used, and for what: scan, duplicates, corrections, split."""
