"""`python -m holdfast.cli`: the console script without its installation."""
import sys

from holdfast.cli.main import entry

sys.exit(entry())
