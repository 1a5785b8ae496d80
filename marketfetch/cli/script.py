"""The console script: it imports the commands inside a `try`, so that Ctrl-C while they load prints no traceback."""

from __future__ import annotations

import gc
import sys

from marketfetch.cli.exit_codes import INTERRUPTED

#: Allocations before the youngest objects are searched for cycles; Python's 700 would search a hundred times during imports.
_ALLOCATIONS = 50_000


def main() -> None:
    """The command `marketfetch`."""
    gc.set_threshold(_ALLOCATIONS)
    try:
        from marketfetch.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(INTERRUPTED)
