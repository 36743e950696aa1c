"""How a base with a real language model is taught to see the rendered world: `python -m tools.natural_base.teach`."""
