"""The campaign that tries to make a run come out wrong: kills at random moments, and damaged video files."""
