"""Algorithms in pure torch: networks, losses (one equation per function), learners."""
