"""Many experiments at once: a sweep and its picture."""
