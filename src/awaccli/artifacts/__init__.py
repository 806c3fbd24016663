"""What is on disk, whatever its kind: manifest, identity, commit, checkpoint, metrics."""
