"""The embedded default: a small rendered world with known truth, and the miniature base model taught in it."""

from pathlib import Path

BASE = Path(__file__).parent / "base"
"""Folder of the miniature base model, an ordinary Hugging Face checkpoint."""
