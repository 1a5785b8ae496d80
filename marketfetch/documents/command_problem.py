"""The document of a command that failed: printed with --json, where the web API returns its own problem documents.

https://www.rfc-editor.org/rfc/rfc9457, with the exit code in place of the HTTP status.
"""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict

#: Begins the `type` of every problem, of the web API too; the rest is a word.
TYPES: Final = "urn:marketfetch:problem:"
_KINDS: Final = {
    1: ("failed", "The command failed"),
    2: ("wrong-command", "The command is written wrongly"),
}


class CommandProblem(TypedDict):
    """Why a command failed, and what to do (`detail`, the sentence on stderr); its exit code, and the class of it (`type`)."""

    type: str
    title: str
    exit_code: int
    detail: str


def problem(detail: str, exit_code: int) -> CommandProblem:
    word, title = _KINDS.get(exit_code, _KINDS[1])
    return {"type": TYPES + word, "title": title, "exit_code": exit_code, "detail": detail}
