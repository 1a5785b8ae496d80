"""The exit codes of every command, and how each --help explains them. docs/commands.md has the same table."""

from __future__ import annotations

from typing import Final

OK: Final = 0
#: What was asked could not be done, or a look found what a monitor should report.
FAILED: Final = 1
#: The command was written wrongly: an unknown option, or a value that can't be right. Nothing was done.
WRONG_COMMAND: Final = 2
#: Ctrl-C, as shells report it: 128 + SIGINT.
INTERRUPTED: Final = 130

MEANINGS: Final = {
    OK: "The command did what was asked.",
    FAILED: "It could not: one sentence on stderr says why.",
    WRONG_COMMAND: "The command or a value in it is written wrongly, so nothing was done.",
    INTERRUPTED: "Ctrl-C ended it.",
}
