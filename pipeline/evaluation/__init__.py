"""How good a model is, with numbers that say how sure they are."""
