"""``python -m metaloom`` is the command ``metaloom``."""

from metaloom.cli import main

main()
