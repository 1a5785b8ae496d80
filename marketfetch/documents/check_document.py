"""The document of `marketfetch check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.ops.finding import Finding


class CheckFinding(TypedDict):
    """What one look found, with the next step: level ok, warning or error."""

    level: str
    subject: str
    sentence: str


class CheckFindings(TypedDict):
    """`ok` where no finding is an error."""

    ok: bool
    findings: list[CheckFinding]


def check_findings(found: Sequence[Finding]) -> CheckFindings:
    ok = all(one.level != "error" for one in found)
    return {"ok": ok, "findings": [cast("CheckFinding", one.model_dump()) for one in found]}
