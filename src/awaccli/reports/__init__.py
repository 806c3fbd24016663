"""Reading artifacts to show them: facts, success tables."""
