"""The command line: the only room that knows typer, rich, stdin, stdout and the environment."""
