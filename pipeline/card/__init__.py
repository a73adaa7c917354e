"""The model card: what whoever gets the model should know."""
