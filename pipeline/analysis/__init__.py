"""What a model gets right and wrong, as a page for people."""
