"""Stored bars over HTTP: the values of `marketfetch.bars`, in each format, in parts, for a client of any pace."""

from __future__ import annotations

import asyncio
import gc
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

import marketfetch
from marketfetch.exceptions import AdjustmentWarning
from marketfetch.settings import override
from marketfetch.storage import open_store, reading_back
from marketfetch.storage.store_errors import StoreUnavailable
from marketfetch.web import bar_reading, bar_routes
from marketfetch.web.bar_reading import BarReader, BarsWish
from marketfetch.web.guards import AccessRules
from marketfetch.web.streams import Stream
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of, configured, in_sqlite, keep  # noqa: F401
from tests.frames.test_adjusted_bars import CASH, DAYS, SPLIT, listed
from tests.imported_later import Later
from tests.storage.conftest import postgres_url, store, url  # noqa: F401
from tests.web.conftest import Client, client_of, shared_api

if TYPE_CHECKING:
    import polars as pl
else:
    pl = Later("polars")


@pytest.fixture
def stored(in_sqlite, monkeypatch) -> Client:  # noqa: F811
    """Bars of two symbols, read in parts of seven."""
    monkeypatch.setattr(bar_reading, "PART", 7)
    for n, symbol in enumerate(("AAPL", "MSFT")):
        in_sqlite(symbol, columns_of(JANUARY_2 + DAY_MS * np.arange(20), nulls=2, seed=n), zone="America/New_York")
    return client_of(AccessRules())


def rows_of(frame: pl.DataFrame) -> list[dict]:
    return frame.with_columns(pl.col("ts").dt.epoch("ms"), pl.col("date").cast(pl.String)).to_dicts()


def test_a_universe_is_what_it_is_in_the_python_function(stored, tmp_path):
    """What is not stored of it is left out; a symbol that is named by itself must be stored."""
    (tmp_path / "marketfetch.toml").write_text('[universes]\nwatchlist = ["AAPL", "NOT.STORED"]\n')
    with override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db"}):
        expected = marketfetch.bars(["@watchlist"])
        assert set(expected["symbol"]) == {"AAPL"}
        assert stored.get("bars", params={"symbol": "@watchlist"}).json()["bars"] == rows_of(expected)
        stored.refused(stored.get("bars", params={"symbol": ["@watchlist", "NOT.STORED"]}), 422)


@pytest.mark.parametrize(
    "asked", [{}, {"start": "2024-01-05", "end": "2024-01-12"}, {"start": "2024-01-30"}, {"start": "2030-01-01"}]
)
def test_bars_are_those_of_the_python_function_in_every_format(stored, asked):
    expected = marketfetch.bars(["AAPL", "MSFT"], **asked)
    query = {"symbol": ["AAPL", "MSFT"], **asked}
    found = stored.get("bars", params=query)
    assert found.headers["content-type"] == "application/json"
    assert found.json() == {"bars": rows_of(expected), "notes": []}

    lines = stored.get("bars", params={**query, "format": "ndjson"}).text.splitlines()
    assert [json.loads(one) for one in lines] == rows_of(expected)

    arrow = stored.get("bars", params=query, headers={"accept": "application/vnd.apache.arrow.stream, */*"})
    assert pl.from_arrow(pa.ipc.open_stream(io.BytesIO(arrow.content)).read_all()).equals(expected)

    csv = stored.get("bars", params={**query, "format": "csv"})
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.text.splitlines()[0].replace('"', "").split(",") == expected.columns
    assert len(csv.text.splitlines()) == 1 + len(expected)


def test_on_postgres_too(configured, keep, monkeypatch):  # noqa: F811
    monkeypatch.setattr(bar_reading, "PART", 7)
    keep("AAPL", columns_of(JANUARY_2 + DAY_MS * np.arange(20)), zone="America/New_York")
    found = client_of(AccessRules()).get("bars", params={"symbol": "AAPL", "columns": "ts,close,provider"})
    assert found.json()["bars"] == rows_of_few(marketfetch.bars("AAPL", columns=["ts", "close", "provider"]))


@pytest.mark.parametrize("adjust", ["splits", "all"])
@pytest.mark.parametrize("asked", [{}, {"start": "2024-01-04", "end": "2024-01-10"}, {"as_of": "2024-02-02"}])
def test_adjusted_prices_are_the_same_in_parts(actions, monkeypatch, adjust, asked):
    monkeypatch.setattr(bar_reading, "PART", 3)
    whole = marketfetch.bars("AAPL", adjust=adjust, columns=["ts", "close", "volume", "adjustment"], **asked)
    query = {"symbol": "AAPL", "adjust": adjust, "columns": "ts,close,volume,adjustment", **asked}
    found = client_of(AccessRules()).get("bars", params=query).json()
    assert found["notes"] == []
    assert [list(one) for one in found["bars"]] == [whole.columns] * len(whole)
    for one, row in zip(found["bars"], rows_of_few(whole), strict=True):
        assert one == pytest.approx(row)


@pytest.fixture
def actions(in_sqlite, tmp_path):  # noqa: F811
    """Raw bars with a split and a dividend among them."""
    in_sqlite("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    with closing(open_store(f"sqlite:///{tmp_path}/bars.db")) as opened:
        listed(opened, SPLIT)
        listed(opened, CASH, kind="dividends")


def test_a_doubt_about_adjusted_prices_is_a_note(in_sqlite, tmp_path):  # noqa: F811
    in_sqlite("AAPL", columns_of(DAYS), adjustment="raw", zone="America/New_York")
    with closing(open_store(f"sqlite:///{tmp_path}/bars.db")) as opened:
        listed(opened, SPLIT, ("AAPL", "2024-01-09", 1.001, 1.0, ""), day="2024-01-10")
    found = client_of(AccessRules()).get("bars", params={"symbol": "AAPL", "adjust": "splits"}).json()
    with pytest.warns(AdjustmentWarning) as warned:
        marketfetch.bars("AAPL", adjust="splits")
    assert found["notes"] == [str(one.message) for one in warned]


def rows_of_few(frame: pl.DataFrame) -> list[dict]:
    return frame.with_columns(pl.col("ts").dt.epoch("ms")).to_dicts()


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"symbol": "AAPLE"}, "No bars of AAPLE are stored. Did you mean AAPL?"),
        ({"symbol": "AAPL", "timespan": "1m"}, "Write timespan=1d"),
        ({"symbol": "AAPL", "timespan": "2d"}, "There is no timespan '2d'."),
        ({"symbol": "AAPL", "columns": "ts,closed"}, "A bar has no column 'closed'."),
        ({"symbol": "AAPL", "start": "2024-13-01"}, "2024-13-01"),
        ({"symbol": "AAPL", "adjust": "all"}, "adjustment"),
        ({"symbol": "@list.txt"}, "There is no universe @list.txt."),
        ({"symbol": "AAPL", "format": "xml"}, "format must be one of"),
        ({}, "symbol is missing."),
    ],
)
def test_a_question_that_has_no_bars_is_refused_with_its_sentence(stored, query, says):
    assert says in stored.refused(stored.get("bars", params=query), 422)


def test_an_outage_in_the_middle_cuts_the_response_and_one_before_it_is_a_refusal(stored, monkeypatch, caplog):
    read, parts = reading_back.first_bars, []

    def failing(*asked, **more):
        parts.append(1)
        if len(parts) == 3:
            raise StoreUnavailable("the database is away")
        return read(*asked, **more)

    monkeypatch.setattr(bar_reading, "first_bars", failing)
    sent, ended = asyncio.run(raw(stored, "symbol=AAPL"))
    assert b"".join(sent).startswith(b'{"bars": [')
    assert not ended, "a client must see that it is not whole"
    of_it = [(one.levelname, one.getMessage(), one.exc_info) for one in caplog.records if one.name == "marketfetch.web"]
    assert of_it == [("WARNING", "a response is cut: /api/v1/bars: the database is away", None)], "one sentence, no traceback"
    parts[:] = [1, 1]
    assert "the database is away" in stored.refused(stored.get("bars", params={"symbol": "AAPL"}), 503)


def test_a_browser_that_goes_away_ends_the_reading_and_leaves_its_place(stored, monkeypatch):
    monkeypatch.setattr(bar_routes, "MOST_STREAMS", 1)
    read, parts = reading_back.first_bars, []

    def counted(*asked, **more):
        parts.append(1)
        return read(*asked, **more)

    monkeypatch.setattr(bar_reading, "first_bars", counted)
    sent, ended = asyncio.run(raw(stored, "symbol=AAPL&symbol=MSFT", leaves=True))
    assert not ended
    assert len(sent) <= 2
    assert len(parts) <= 4, "of eight parts"
    assert stored.get("bars", params={"symbol": "AAPL"}).status_code == 200, "its place is free again"


async def raw(client: Client, query: str, *, leaves: bool = False, stuck_at: str = "") -> tuple[list[bytes], bool]:
    """What the app sends, and whether it says that this is all. `leaves`: the client goes away after the first part.
    `stuck_at`: it takes no message of this kind."""
    sent: list[dict] = []
    gone = asyncio.Event()

    async def receive() -> dict:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict) -> None:
        sent.append(message)
        if message["type"] == stuck_at:
            await asyncio.Event().wait()
        if leaves and message["type"] == "http.response.body":
            gone.set()
            await asyncio.Event().wait()  # its buffers are full

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/api/v1/bars",
        "raw_path": b"",
        "query_string": query.encode(),
        "headers": [(b"host", b"localhost")],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("localhost", 80),
        "client": None,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
    }
    shared_api().state.service = client.service
    try:
        await client.app(scope, receive, send)
    except Exception:
        assert sent
    bodies = [one for one in sent if one["type"] == "http.response.body"]
    return [one.get("body", b"") for one in bodies], bool(bodies) and not bodies[-1].get("more_body", False)


@pytest.mark.parametrize("begun", [True, False])
def test_a_client_that_takes_nothing_leaves_its_place_and_its_connection_at_once(stored, monkeypatch, caplog, begun):
    """Not when Python's garbage collection comes by: sixteen such clients would block the route for everybody."""
    monkeypatch.setitem(Stream.__init__.__kwdefaults__, "send_s", 0.01)
    close, closed = BarReader.close, []

    def counted(reader: BarReader) -> None:
        closed.append(reader)
        close(reader)

    monkeypatch.setattr(BarReader, "close", counted)
    caplog.set_level("INFO")

    async def run() -> None:
        gc.disable()
        try:
            await raw(stored, "symbol=AAPL&symbol=MSFT", stuck_at="http.response.body" if begun else "http.response.start")
            assert stored.service.streams == 0
            assert closed
        finally:
            gc.enable()

    asyncio.run(run())
    of_it = [(one.levelname, one.message, one.exc_info) for one in caplog.records if one.name == "marketfetch.web"]
    assert of_it == [("INFO", "a client is cut, as it took nothing for 0.01 s: /api/v1/bars", None)]


def test_what_is_open_is_closed_behind_the_part_that_a_thread_reads(stored, monkeypatch):
    read, reading, released = reading_back.first_bars, threading.Event(), threading.Event()

    def slow(*asked, **more):
        reading.set()
        assert released.wait(60)
        return read(*asked, **more)

    monkeypatch.setattr(bar_reading, "first_bars", slow)
    closed: list[int] = []
    reader = BarReader(BarsWish(["AAPL"]))
    reader._opened.callback(lambda: closed.append(1))
    with ThreadPoolExecutor(1) as thread:
        part = thread.submit(reader.part)
        assert reading.wait(60)
        reader.close()
        assert not closed, "a thread reads"
        released.set()
        assert part.result(60) is not None
        assert closed == [1]
        assert reader.part() is None


def test_so_many_clients_read_at_once_and_no_more(stored, monkeypatch):
    monkeypatch.setattr(bar_routes, "MOST_STREAMS", 0)
    assert "read bars already" in stored.refused(stored.get("bars", params={"symbol": "AAPL"}), 503)
    monkeypatch.setattr(bar_routes, "MOST_STREAMS", 1)
    for _ in range(3):
        assert stored.get("bars", params={"symbol": "AAPL"}).status_code == 200


def test_a_client_that_takes_nothing_is_cut():
    cut = []

    async def endless():
        while True:
            yield b"x"

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def run():
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "state": {"cut": lambda: cut.append(1)}}
        await Stream(b"x", endless(), send_s=0.01)(scope, receive, send)

    asyncio.run(run())
    assert cut == [1]
