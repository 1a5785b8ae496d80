"""Event streams of one server: many clients and one reader, heartbeats, ends, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from marketfetch import connections
from marketfetch.exceptions import UnavailableError
from marketfetch.jobs import job_list, steering
from marketfetch.jobs.submission import submit
from marketfetch.web import live_view
from marketfetch.web.call_threads import Calls
from marketfetch.web.known_tokens import KnownTokens
from marketfetch.web.live_view import Live, Wanted
from marketfetch.web.problems import Refused
from tests.jobs.conftest import emptied  # noqa: F401 (pytest finds the fixture here)
from tests.web.test_latest_events import read

WISH: dict[str, Any] = {"start": "2024-01-02", "end": "2024-01-31"}


@pytest.fixture
def quick(emptied, monkeypatch):  # noqa: F811
    """An empty Redis and database, and a reader that looks again at once."""
    emptied()
    monkeypatch.setattr(live_view, "EVERY_S", 0.01)


async def nothing_revoked(_tokens: Any) -> tuple[str, ...]:
    return ()


async def until(stream: AsyncIterator[bytes], kind: str, **values: Any) -> dict:
    """The first event of a kind whose document has these values."""
    async with asyncio.timeout(60):
        async for text in stream:
            for _, found, document in read(text) if text.startswith(b"id: ") else []:
                if found == kind and all(document[name] == value for name, value in values.items()):
                    return document
    raise AssertionError("the stream has ended")


def run(test: Any) -> None:
    asyncio.run(test())


def test_a_stream_begins_with_what_is_known_and_follows_a_job_to_its_end(quick):
    async def test() -> None:
        job = await asyncio.to_thread(submit, "polygon", ["AAPL"], **WISH)
        live = Live(Calls(), nothing_revoked)
        stream = live.events(Wanted(), "")
        assert await anext(stream) == b"retry: 2000\n\n"
        assert (await until(stream, "job", job=job.job_id))["requests"]["parked"] == 1
        await asyncio.to_thread(steering.cancel, job.job_id)
        assert (await until(stream, "job", state="cancelled"))["job"] == job.job_id
        await stream.aclose()

    run(test)


def test_a_client_that_comes_back_gets_what_it_missed_and_no_more(quick):
    async def test() -> None:
        job = await asyncio.to_thread(submit, "polygon", ["AAPL"], **WISH)
        live = Live(Calls(), nothing_revoked)
        first = live.events(Wanted(topics=("jobs",)), "")
        await until(first, "job", job=job.job_id)
        await first.aclose()
        last = f"{live._latest.epoch}-{live._latest.number}"
        other = await asyncio.to_thread(submit, "polygon", ["MSFT"], **WISH)
        again = live.events(Wanted(topics=("jobs",)), last)
        await anext(again)
        events: list[Any] = []
        async with asyncio.timeout(60):
            while not events:
                events = read(await anext(again))
        assert {document["job"] for _, kind, document in events if kind == "job"} == {other.job_id}
        await again.aclose()

    run(test)


def test_two_hundred_clients_have_one_reader(quick, monkeypatch):
    looks: list[int] = []

    def listing(*asked: Any, **more: Any) -> Any:
        looks.append(1)
        return job_list.listing(*asked, **more)

    monkeypatch.setattr(live_view, "listing", listing)
    monkeypatch.setattr(live_view, "EVERY_S", 3_600.0)

    async def test() -> None:
        live = Live(Calls(), nothing_revoked)
        streams = [live.events(Wanted(), "") for _ in range(200)]
        for stream in streams:
            await anext(stream)
        await asyncio.gather(*(until(stream, "service", ok=True) for stream in streams))
        assert len(looks) == 1
        for stream in streams:
            await stream.aclose()
        assert live._clients.total() == 0

    run(test)


def test_the_reader_ends_with_the_last_client_and_begins_again_with_the_next(quick):
    async def test() -> None:
        live = Live(Calls(), nothing_revoked)
        for _ in range(2):
            stream = live.events(Wanted(), "")
            await until(stream, "service", ok=True)
            await stream.aclose()
            assert live._task
            async with asyncio.timeout(60):
                await live._task

    run(test)


def test_one_client_too_many_is_refused(quick, monkeypatch):
    monkeypatch.setattr(live_view, "MOST_CLIENTS", 1)

    async def test() -> None:
        live = Live(Calls(), nothing_revoked)
        first = live.events(Wanted(), "")
        await anext(first)
        with pytest.raises(Refused, match="1 clients listen already"):
            await anext(live.events(Wanted(), ""))
        await first.aclose()
        again = live.events(Wanted(), "")
        assert await anext(again)
        await again.aclose()

    run(test)


def test_a_stream_where_nothing_happens_has_a_heartbeat(quick, monkeypatch):
    monkeypatch.setattr(live_view, "HEARTBEAT_S", 0.01)

    async def test() -> None:
        stream = Live(Calls(), nothing_revoked).events(Wanted(), "")
        async with asyncio.timeout(60):
            while await anext(stream) != b": heartbeat\n\n":
                pass
        await stream.aclose()

    run(test)


def test_an_outage_is_an_event_and_so_is_its_end(quick, monkeypatch):
    look = job_list.listing
    away: list[int] = []

    def listing(*asked: Any, **more: Any) -> Any:
        if away:
            raise UnavailableError("The database can't be used: it is away.")
        return look(*asked, **more)

    monkeypatch.setattr(live_view, "listing", listing)

    async def test() -> None:
        stream = Live(Calls(), nothing_revoked).events(Wanted(), "")
        await until(stream, "service", ok=True)
        away.append(1)
        assert (await until(stream, "service", ok=False))["detail"] == "The database can't be used: it is away."
        away.clear()
        await until(stream, "service", ok=True)
        await stream.aclose()

    run(test)


def test_a_revoked_token_ends_its_stream_and_no_other(quick):
    revoked: set[str] = set()

    async def which(tokens: Any) -> set[str]:
        return revoked & set(tokens)

    async def test() -> None:
        live = Live(Calls(), which)
        ours, theirs = live.events(Wanted(token="a"), ""), live.events(Wanted(token="b"), "")
        await until(ours, "service", ok=True)
        await until(theirs, "service", ok=True)
        revoked.add("a")
        async with asyncio.timeout(60):
            rest = [text async for text in ours]
        assert rest[-1].startswith(b"event: end\n")
        job = await asyncio.to_thread(submit, "polygon", ["AAPL"], **WISH)
        await until(theirs, "job", job=job.job_id)
        await theirs.aclose()

    run(test)


def test_a_look_that_fails_in_any_way_is_followed_by_the_next_one(quick, caplog):
    faults: list[BaseException] = [Refused(503, "200 requests wait"), RuntimeError("unforeseen")]

    async def failing(_tokens: Any) -> tuple[str, ...]:
        if faults:
            raise faults.pop()
        return ()

    async def test() -> None:
        stream = Live(Calls(), failing).events(Wanted(token="a"), "")
        await until(stream, "service", ok=True)
        job = await asyncio.to_thread(submit, "polygon", ["AAPL"], **WISH)
        await until(stream, "job", job=job.job_id)
        await asyncio.to_thread(steering.cancel, job.job_id)
        await until(stream, "job", state="cancelled")
        await stream.aclose()

    run(test)
    assert not faults
    assert [one.message for one in caplog.records if one.name == "marketfetch.web"] == [
        "a look of the live view failed; the next one follows"
    ] * 2


def test_the_reader_waits_for_no_request_of_a_client(quick):
    async def test() -> None:
        calls = Calls()
        for n in range(int(calls._quick.total_tokens)):
            calls._quick.acquire_on_behalf_of_nowait(str(n))
        stream = Live(calls, KnownTokens(calls).revoked).events(Wanted(token="a"), "")
        await until(stream, "service", ok=True)
        async with asyncio.timeout(60):
            rest = [text async for text in stream]
        assert rest[-1].startswith(b"event: end"), "the token is not known"

    run(test)


def test_the_pause_is_that_of_the_look_and_not_of_its_wait_for_a_thread(quick, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(live_view, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(live_view, "EVERY_S", 1.0)

    def look() -> str:
        clock[0] += 0.5
        return "seen"

    async def test() -> None:
        calls = Calls()
        live = Live(calls, nothing_revoked)
        calls._looking.acquire_on_behalf_of_nowait("another")
        waiting = asyncio.create_task(live._in_thread(look))
        while not calls._looking.statistics().tasks_waiting:  # noqa: ASYNC110 (anyio has no event for it)
            await asyncio.sleep(0)
        clock[0] += 1_000
        calls._looking.release_on_behalf_of("another")
        assert await waiting == "seen"
        assert live._pause_s() == 2.0
        clock[0] = 0.0
        for _ in range(100):
            await live._in_thread(look)
        assert live._pause_s() == live_view.LONGEST_PAUSE_S

    run(test)


def test_stopping_ends_every_stream_at_once(quick):
    async def test() -> None:
        live = Live(Calls(), nothing_revoked)
        streams = [live.events(Wanted(), "") for _ in range(3)]
        for stream in streams:
            await until(stream, "service", ok=True)
        live.stop()
        async with asyncio.timeout(60):
            for stream in streams:
                assert [text async for text in stream if text.startswith(b"event: end")] == []

    run(test)


def test_events_of_one_job_alone_and_of_an_unknown_one(make_client):
    client = make_client()
    assert "There is no job" in client.refused(client.get("events", params={"job": "0123456789abcdef"}), 404)
    assert "topic" in client.refused(client.get("events", params={"topic": "everything"}), 422)
    wanted = Wanted(jobs=frozenset({"a"}))
    assert wanted(("job", "a"))
    assert not wanted(("job", "b"))
    assert wanted(("service", ""))
    assert not Wanted(topics=("keys",))(("job", "a"))
    assert connections.redis()
