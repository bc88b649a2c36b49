"""``python -m jptycho.cli``."""

from jptycho.cli.main import main

main()
