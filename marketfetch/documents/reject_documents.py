"""The document of rejects: the rows that failed a check, counted by reason, and the latest of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from marketfetch.jobs.refused_rows import RefusedRows


class Rejects(TypedDict):
    """`rejected` counts all rows, `kept` those whose values are kept; reasons with the most frequent first, each with
    what to do (`advice`), and the latest rows."""

    of: str
    rejected: int
    kept: int
    reasons: list[dict[str, Any]]
    rows: list[dict[str, Any]]


def cleaner() -> Callable[[str], str]:
    """Texts are a vendor's: no secret leaves in one, and nothing that controls a terminal."""
    from marketfetch.printable import printable
    from marketfetch.redaction import Redactor
    from marketfetch.settings import get_settings

    redactor = Redactor(get_settings().secrets())
    return lambda text: printable(redactor.text(text), most=200)


def rejects_document(found: RefusedRows) -> Rejects:
    from marketfetch.schemas.check_advice import advice

    clean = cleaner()

    def cleaned(fields: dict[str, object]) -> dict[str, object]:
        times = {name: value for name, value in fields.items() if name.endswith("_ms")}
        texts = {name: clean(value) if isinstance(value, str) else value for name, value in fields.items() if name not in times}
        return {**texts, **{name.removesuffix("_ms") + "_at": utc(value).isoformat() for name, value in times.items()}}

    return {
        "of": clean(found.what),
        "rejected": found.rejected,
        "kept": found.kept,
        "reasons": [{**cleaned(asdict(one)), "advice": advice(one.reason)} for one in found.reasons],
        "rows": [cleaned(asdict(one)) for one in found.rows],
    }


def utc(ms: object) -> datetime:
    return datetime.fromtimestamp(float(str(ms)) / 1000, UTC)
