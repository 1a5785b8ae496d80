"""The API in this process, on a real Redis and a database file, asked over ASGI as a client would over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from marketfetch.web.app import guarded, make_api
from marketfetch.web.guards import AccessRules
from marketfetch.web.web_service import Service
from tests.jobs.conftest import emptied  # noqa: F401 (pytest finds the fixture here)


@lru_cache(maxsize=1)
def shared_api() -> FastAPI:
    """One for all tests of this process: FastAPI works out its routes at the first request, which takes a while."""
    return make_api(AccessRules())


@dataclass
class Client:
    """Asks one app; `base` is the address that it is asked by."""

    app: ASGIApp
    base: str = "http://127.0.0.1:8787"
    service: Service | None = None

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        if self.service is not None:
            shared_api().state.service = self.service

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url=self.base) as client:
                return await client.request(method, path if path.startswith("/") else f"/api/v1/{path}", **more)

        return asyncio.run(asked())

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("POST", path, **more)

    def refused(self, response: httpx.Response, status: int) -> str:
        """The sentence of a refusal, which is a whole problem document."""
        assert response.status_code == status, response.text
        assert response.headers["content-type"] == "application/problem+json"
        found = response.json()
        assert {"type", "title", "status", "detail"} <= found.keys()
        assert found["status"] == status
        assert found["type"].startswith("urn:marketfetch:problem:")
        return str(found["detail"])


def client_of(rules: AccessRules, owner: str = "ann") -> Client:
    return Client(guarded(shared_api(), rules), service=Service(rules, owner))


@pytest.fixture
def make_client(emptied: Callable[[], None]) -> Callable[..., Client]:  # noqa: F811
    """Makes a client of an API with a rules of its own; Redis and the database are empty."""
    emptied()
    return lambda owner="ann", **rules: client_of(AccessRules(**rules), owner)


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()
