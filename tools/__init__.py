"""Makes what savi ships and measures what savi claims, outside the wheel."""
