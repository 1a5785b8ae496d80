"""A worker's port of metrics: served, taken over from another worker, and no reason to stop where it can't be opened."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from tasks.worker import metrics_port
from tasks.worker.metrics_port import PortThread
from tests.jobs.conftest import emptied  # noqa: F401 (pytest finds the fixture here)
from tests.waiting import eventually


@pytest.fixture
def port(emptied) -> int:  # noqa: F811
    emptied()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def served(port: int):
    thread = PortThread("127.0.0.1", port)
    thread.start()
    try:
        yield thread
    finally:
        thread.stop()
        assert not thread.is_alive()


def scrape(port: int, path: str = "metrics") -> Any:
    """The response, None where no server listens."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/{path}")
    except httpx.TransportError:
        return None


def test_the_port_shows_the_page_and_nothing_else(port):
    with served(port):
        found = eventually(lambda: scrape(port), what="the port is open")
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert 'marketfetch_up{part="redis"} 1.0' in found.text
        assert "secret" not in found.text
        assert scrape(port, "other").status_code == 404
        assert scrape(port, "metrics?name=x").status_code == 200
    assert scrape(port) is None, "closed with the worker"


def test_a_second_worker_says_that_the_port_is_in_use_and_takes_it_over(port, monkeypatch, capsys):
    monkeypatch.setattr(metrics_port, "AGAIN_S", 0.05)
    with served(port):
        eventually(lambda: scrape(port), what="the port is open")
        other = PortThread("127.0.0.1", port)
        other.start()
        eventually(lambda: other._tried > 1, what="the second one has tried again")
    found = eventually(lambda: scrape(port), what="the second one has the port")
    assert found.status_code == 200
    other.stop()
    assert capsys.readouterr().out.count("metrics are not shown here") == 1, "said once, with the address and what to do"
