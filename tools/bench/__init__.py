"""Side-by-side timings against what users would pick instead: same weights, same pairs, same machine, one run."""
