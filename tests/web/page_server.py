"""The server of the pages in a thread of this process, and the Chromium that looks at it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from shutil import which
from typing import Any

import uvicorn
from playwright.sync_api import Browser, sync_playwright

from marketfetch.web import http_server
from marketfetch.web.app import guarded, make_api
from marketfetch.web.guards import AccessRules


@contextmanager
def serving(rules: AccessRules) -> Iterator[tuple[str, Any]]:
    """The address of a server, and its service."""
    api = make_api(rules, owner="ann")
    with http_server.listen("127.0.0.1", 0) as listening:
        options: dict[str, Any] = {"http": http_server.Protocol, "lifespan": "off", "log_config": None, "access_log": False}
        server = uvicorn.Server(uvicorn.Config(guarded(api, rules), timeout_graceful_shutdown=1, **options))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", api.state.service
        finally:
            api.state.service.stop()
            server.should_exit = True
            thread.join(30)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=which("chromium"), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
