"""Workers call a vendor through its proxy, and its password is nowhere afterwards."""

from __future__ import annotations

from tests.flow.test_secrets import everything_in, unpacked, ways_to_write
from tests.small_proxy import small_proxy

PASSWORD = "Zq9X+pW/7=&k%3Tmv"
ENCODED = "Zq9X%2BpW%2F7%3D%26k%253Tmv"


def test_a_worker_calls_through_the_proxy_and_leaves_its_password_nowhere(place, sandbox):
    place.env["MARKETFETCH_LOG__LEVEL"] = "debug"
    place.env["MARKETFETCH_RETRIES__MOST"] = "0"
    with small_proxy(user="me", password=PASSWORD) as proxy:
        place.env["MARKETFETCH_PROVIDERS__POLYGON__PROXY"] = f"http://me:{ENCODED}@127.0.0.1:{proxy.port}"
        place.env["MARKETFETCH_PROVIDERS__NASDAQ__PROXY"] = f"http://me:{ENCODED}x@127.0.0.1:{proxy.port}"
        place.worker("--loglevel", "debug", "-E", concurrency=2)
        through = place.fetch("polygon", "AAPL", start="2024-01-02", end="2024-01-05")
        direct = place.fetch("alpha_vantage", "AAPL", start="2024-01-02", end="2024-01-05")
        refused = place.fetch("nasdaq", "MSFT", start="2018-01-02", end="2018-01-05")
        checked = place.marketfetch("check")
        heads = list(proxy.heads)
    assert [through["state"], direct["state"]] == ["done", "done"]
    assert "correct them in providers.nasdaq.proxy" in str(refused["failures"])
    assert [("/v2/aggs/" in head, "/api/v3/" in head) for head in heads] == [(True, False), (False, True)]
    assert sandbox.log()["calls"] == 2, "the refused call has not reached the vendor"
    left = {
        "worker log": place.worker_log.encode(),
        "redis": everything_in(place.redis()),
        "database": b"".join(path.read_bytes() for path in place.folder.glob("marketfetch.db*")),
        "commands": (checked.stdout + checked.stderr).encode() + repr([through, direct, refused]).encode(),
    }
    for where, text in left.items():
        assert text, where
        whole = unpacked(text)
        assert not [spelled for spelled in {*ways_to_write(PASSWORD), ENCODED.encode()} if spelled in whole], where
