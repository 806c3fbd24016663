"""Datasets, the main object: schema, reading, writing, and the replay buffer."""
