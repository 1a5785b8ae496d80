"""The app's conftest: a test that connects, listens or looks up a name fails, whatever library does it."""

from __future__ import annotations

import sys

import pytest

REFUSED = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
seen: list[str] = []


def audit(event: str, arguments: tuple[object, ...]) -> None:
    if event in REFUSED:
        seen.append(f"{event} {arguments[1:] or arguments}")


sys.addaudithook(audit)


@pytest.fixture(autouse=True)
def no_socket():
    seen.clear()
    yield
    assert seen == []
