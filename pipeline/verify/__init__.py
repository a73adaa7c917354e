"""Whether what lies here and in DVC's cache is what was written, and what to do if not."""
