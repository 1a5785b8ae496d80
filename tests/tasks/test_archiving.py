"""The archive beside a call: a broken or hanging one is an alert, and neither delays nor loses a reply."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest

from marketfetch.ops.reply_archive import ReplyArchive
from marketfetch.schemas.request import Request
from marketfetch.vendors.http import HttpReply
from tasks import archiving

REQUEST = Request.model_validate({"provider": "polygon", "symbol": "AAPL"})
REPLY = HttpReply(200, {}, b"{}")


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(archiving._broken, "holds", said.append)
    return said


def keep(one: archiving.Archiving, *, patience_s: float = 60.0) -> None:
    one.keep(REQUEST, REPLY, fetched_ms=1_700_000_000_000, secret="k", patience_s=patience_s)


def test_a_reply_is_in_the_archive_when_the_call_goes_on(tmp_path: Path, alerts: list[str]) -> None:
    keep(archiving.Archiving(str(tmp_path)))
    assert [one.request.symbol for one in ReplyArchive(str(tmp_path)).entries()] == ["AAPL"]
    assert alerts == []


def test_a_place_that_can_not_be_written_is_an_alert_and_no_error(tmp_path: Path, alerts: list[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    keep(archiving.Archiving(str(tmp_path / "file")))
    assert len(alerts) == 1
    assert alerts[0].startswith("The archive of replies can't be written: ")
    assert "Replies are stored all the same" in alerts[0]
    keep(archiving.Archiving("no-such-scheme://x"))
    assert len(alerts) == 2


def test_a_place_that_hangs_is_waited_for_once_and_then_left_alone(monkeypatch: pytest.MonkeyPatch, alerts: list[str]) -> None:
    go_on, writes = Event(), []

    def hang(self: Any, *arguments: Any, **how: Any) -> None:
        writes.append(arguments)
        go_on.wait(300)

    monkeypatch.setattr(ReplyArchive, "keep", hang)
    one = archiving.Archiving("memory://hangs")
    began = monotonic()
    keep(one, patience_s=0.1)
    keep(one)
    keep(one)
    assert monotonic() - began < 50
    assert len(writes) == 1
    assert alerts[0].startswith("The archive of replies needs longer than 0.1 s.")
    assert (
        alerts[1:]
        == ["The archive of replies still hangs. Replies are stored all the same, and some are not in the archive."] * 2
    )
    go_on.set()
    assert one._hangs is not None
    one._hangs.join(300)
    keep(one)
    assert len(writes) == 2
