"""Ways in: names to modules, sources to pictures, and what is known about a model."""
