"""``python -m awaccli`` is ``awac``."""

from awaccli.cli.app import main

main()
