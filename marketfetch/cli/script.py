"""The console script: it imports the commands inside a `try`, so that Ctrl-C while they load prints no traceback."""

from __future__ import annotations

import gc
import sys

from marketfetch.cli.exit_codes import INTERRUPTED

#: `import redis` looks for this module and loads an SDK (0.1 s) that no command has a use for: its traces need others of it.
_UNUSED = "opentelemetry.sdk.metrics"
#: Allocations before the youngest objects are searched for cycles; Python's 700 would search a hundred times during imports.
_ALLOCATIONS = 50_000


def main() -> None:
    """The command `marketfetch`."""
    gc.set_threshold(_ALLOCATIONS)
    sys.modules.setdefault(_UNUSED, None)  # type: ignore[arg-type]  # as Python notes that a module is absent
    try:
        from marketfetch.cli.main import main as command

        command()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        sys.exit(INTERRUPTED)
