"""The benchmarks that VideoSAVi reports, from their official files: items, prompts, how replies are read."""
