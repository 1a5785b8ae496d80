"""A call ends before its lease whatever the vendor does: the whole matrix of stages and ways to misbehave."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import SecretStr

from marketfetch.vendors import transport
from marketfetch.vendors.errors import FetchError
from marketfetch.vendors.http import HttpRequest, KeyPlace
from tests.providers.hostile_vendor import CASES, hostile_vendor
from tests.waiting import PATIENCE, eventually

ROOT = Path(__file__).parents[2]
CALL_S = 1.0
LIMITS = transport.Timeouts(connect_s=0.6, read_s=0.6, total_s=CALL_S, max_bytes=20_000_000)


def call(url: str) -> tuple[str, float]:
    """The class of the error that a call ends with ("reply" for none), and how long it took."""
    began = time.monotonic()
    try:
        transport.send(
            HttpRequest("/v1/x", (("symbol", "IBM"),), KeyPlace("query", "apikey")),
            base_url=url, provider="acme", key_label="main", key=SecretStr("secret"), timeouts=LIMITS,
        )  # fmt: skip
        return "reply", time.monotonic() - began
    except FetchError as error:
        return f"{type(error).__name__}: {error}", time.monotonic() - began


@pytest.fixture(scope="module")
def endings() -> dict[tuple[str, str], tuple[str, float, int]]:
    """Every case once; a few at a time, since most of them only wait."""

    def one(case: tuple[str, str]) -> tuple[str, float, int]:
        with hostile_vendor(*case) as vendor:
            ending, seconds = call(vendor.url)
            # A busy kernel hands an end over a moment after it was sent.
            with suppress(AssertionError):
                eventually(lambda: not vendor.held_by_the_client(), within_s=0.5)
            return ending, seconds, vendor.held_by_the_client()

    with ThreadPoolExecutor(12) as threads:
        return dict(zip(CASES, threads.map(one, CASES), strict=True))


@pytest.mark.parametrize(("stage", "way"), CASES)
def test_a_call_ends_within_its_time_with_a_named_error(endings, stage, way):
    ending, seconds, _ = endings[stage, way]
    assert ending.startswith(("Unavailable: acme (key main): ", "BadRequest: acme (key main): ")), ending
    assert "secret" not in ending
    assert seconds < CALL_S + PATIENCE


@pytest.mark.parametrize(("stage", "way"), CASES)
def test_a_call_that_failed_is_over_for_the_vendor_too(endings, stage, way):
    """The permit is given back after this: on a connection that stays open, the vendor counts this call and the next one."""
    _, _, held = endings[stage, way]
    assert held == 0


_MEMORY = """
import resource, sys
from tests.providers.test_hostile_vendors import call
from marketfetch.vendors import transport
import tests.providers.test_hostile_vendors as here
here.LIMITS = transport.Timeouts(connect_s=1, read_s=1, total_s=4)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ending, seconds = call(sys.argv[1])
print(f"{(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024:.0f}", f"{seconds:.1f}", ending)
"""


@pytest.mark.parametrize(("stage", "way"), [case for case in CASES if case[1] in ("endless", "gzip bomb")])
def test_what_never_ends_costs_less_than_200_mb_at_the_real_limit(stage, way):
    with hostile_vendor(stage, way) as vendor:
        done = subprocess.run(
            [sys.executable, "-c", _MEMORY, vendor.url], capture_output=True, text=True, check=True, cwd=ROOT, timeout=300
        )
    megabytes, seconds, ending = done.stdout.split(maxsplit=2)
    assert ending.startswith("Unavailable: ")
    assert (float(megabytes) < 200, float(seconds) < 4 + PATIENCE) == (True, True), done.stdout
