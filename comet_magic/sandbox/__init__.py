"""A real endpoint on loopback that paints instead of asking a model."""
