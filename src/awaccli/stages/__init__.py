"""One file per command that needs more than one room."""
