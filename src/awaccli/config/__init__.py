"""Settings: pydantic models, presets, and how flags, files and presets combine."""
