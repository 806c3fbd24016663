"""Tasks, experts, acting and rollouts."""
