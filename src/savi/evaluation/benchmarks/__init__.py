"""Benchmarks from their official files: items, prompts, how replies are read."""
