"""How the miniature base model of the rendered world is taught: `python -m tools.base_model.teach`."""
