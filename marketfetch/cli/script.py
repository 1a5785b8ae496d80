"""The console script: it imports the commands inside a `try`, so that Ctrl-C while they load prints no traceback."""

from __future__ import annotations

import sys

from marketfetch.cli.exit_codes import INTERRUPTED


def main() -> None:
    """The command `marketfetch`."""
    try:
        from marketfetch.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(INTERRUPTED)
