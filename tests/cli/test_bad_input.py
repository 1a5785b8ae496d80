"""Bad input: one clear sentence (what, why, what to do), a non-zero exit, no traceback, and nothing half-stored."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from marketfetch.cli.sandboxed import variables
from marketfetch.local.sandbox_process import start_sandbox
from marketfetch.local.valkey_server import start_valkey

DAYS = ("--start", "2023-01-03", "--end", "2023-01-31")
SECRET = "refused-s3cr3t"

Sentence = Callable[..., str]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def stored(folder: Path) -> dict[str, int]:
    """The rows of each table; nothing where there is no database."""
    path = folder / "marketfetch.db"
    if not path.exists():
        return {}
    with sqlite3.connect(path) as database:
        counts = {
            table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("bars", "rejects", "ledger", "jobs")
        }
    database.close()
    return counts


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    with start_valkey(tmp_path / "redis") as valkey:
        yield valkey.url


@pytest.fixture
def ready(shell: Any, redis: str) -> Any:
    """A folder in which everything is configured, and no worker runs."""
    shell.variables |= {"MARKETFETCH_REDIS_URL": redis}
    shell.variables |= variables(dict.fromkeys(("alpha_vantage", "polygon", "nasdaq"), "http://127.0.0.1:1"), label="main")
    return shell


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("polygon", "A[B]PL"), ["symbol 'A[B]PL'", "'['"]),
        (("polygon", "AAPL", ""), ["a symbol is empty"]),
        (("polygon", "AAPL", "M\x1b[31mSFT"), [r"'M\x1b[31mSFT'", "can't be seen"]),
        (("polygon", "A" * 70), ["'AAA", "70 characters"]),
        (("polygon", "sp500.txt"), ["write @sp500.txt for the symbols in that file"]),
        (("polygon", "AAPL", "2024-01-02", "--dry-run"), ["2024-01-02 is a date", "`--start 2024-01-02`"]),
        (("polygon", "AAPL", "BRK-B"), ["write BRK.B instead of BRK-B"]),
        (("alpha_vantage", "EUR/USD"), ["EUR/USD", "--dataset fx"]),
        (("nasdaq", "AAPL"), ["WIKI/PRICES ended on 2018-03-27", "--dataset VENDOR/TABLE"]),
        (("nasdaq", "AAPL", "--timespan", "5m"), ["nasdaq", "5m", "1d"]),
        (("polygon", "AAPL", "--adjustment", "split_dividend"), ["split"]),
    ],
)
def test_a_wish_that_can_not_be_served_is_refused_before_anything_is_kept(
    ready: Any, one_sentence: Sentence, arguments: tuple[str, ...], says: list[str]
) -> None:
    sentence = one_sentence(ready.run("fetch", *arguments, *DAYS), code=2)
    for words in says:
        assert words in sentence
    assert not any(stored(ready.folder).values())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("polygn", "AAPL"), ["no vendor 'polygn'", "Did you mean 'polygon'?"]),
        (("polygn",), ["no vendor 'polygn'", "The vendor comes first"]),
        (("bloomberg", "AAPL"), ["no vendor 'bloomberg'", "alpha_vantage, nasdaq, polygon"]),
        (("polygon", "AAPL", "--dataset", "barz", *DAYS), ["no dataset 'barz'", "Did you mean bars"]),
        (("alpha_vantage", "IBM", "--dataset", "barz", *DAYS), ["no dataset 'barz'", "Did you mean"]),
        (("nasdaq", "IBM", "--dataset", "barz", *DAYS), ["no dataset 'barz'", "VENDOR/TABLE"]),
        (("nasdaq", "AAPL", "--dataset", "splits"), ["no dataset 'splits'", "alpha_vantage and polygon have it"]),
        (("polygon", "AAPL", "--start", "2150-01-01"), ["begins on 2150-01-01", "earlier start"]),
        (("polygon", "AAPL", "--start", "2150-01-01", "--end", "2150-01-31"), ["lies in the future", "earlier start"]),
        (("nasdaq", "datasets/FRED/GDP", "--start", "2150-01-01", "--end", "2150-01-31"), ["lies in the future"]),
    ],
)
def test_a_value_that_can_not_be_right_exits_as_every_wrong_value_does(
    ready: Any, one_sentence: Sentence, arguments: tuple[str, ...], says: list[str]
) -> None:
    sentence = one_sentence(ready.run("fetch", *arguments), code=2)
    for words in says:
        assert words in sentence
    assert not any(stored(ready.folder).values())


def test_symbols_in_a_file_and_in_words_are_understood_and_asked_once(ready: Any) -> None:
    (ready.folder / "s.csv").write_bytes(
        b'\xef\xbb\xbfSymbol,Name\r\nM&M.BSE,"Mahindra, Ltd"\r\n"BRK.B",Berkshire\r\nAAPL,Apple\r\n'
    )
    done = ready.run("fetch", "polygon", "AAPL,MSFT", "'AAPL'", "--symbols-file", "s.csv", *DAYS, "--json")
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(ready.folder / "marketfetch.db") as database:
        ((spec,),) = database.execute("SELECT spec FROM jobs").fetchall()
    database.close()
    assert json.loads(spec)["symbols"] == ["AAPL", "MSFT", "M&M.BSE", "BRK.B"]
    assert json.loads(done.stdout)["requests"] == 4


def test_no_key_configured(shell: Any, redis: str, one_sentence: Sentence) -> None:
    sentence = one_sentence(shell.run("fetch", "polygon", "AAPL", *DAYS, REDIS_URL=redis))
    assert "No API key is configured for polygon" in sentence
    assert "POLYGON_API_KEY" in sentence
    assert not any(stored(shell.folder).values())


def test_redis_away(ready: Any, one_sentence: Sentence) -> None:
    away = f"redis://:{SECRET}@127.0.0.1:{closed_port()}/0"
    done = ready.run("fetch", "polygon", "AAPL", *DAYS, REDIS_URL=away)
    sentence = one_sentence(done)
    assert "Redis" in sentence
    assert "MARKETFETCH_REDIS_URL" in sentence, "a Redis is configured: `up` would start none"
    assert SECRET not in done.stderr + done.stdout
    assert not any(stored(ready.folder).values())


@pytest.mark.parametrize("where", ["sqlite:////proc/nowhere/x.db", "sqlite:///folder", "sqlite:///text.txt"])
def test_a_database_that_can_not_be_written(ready: Any, one_sentence: Sentence, where: str) -> None:
    (ready.folder / "folder").mkdir()
    (ready.folder / "text.txt").write_text("this is no database, and it is longer than a header of one hundred bytes" * 3)
    sentence = one_sentence(ready.run("fetch", "polygon", "AAPL", *DAYS, DATABASE_URL=where))
    assert where.rpartition("/")[2] in sentence
    assert (ready.folder / "text.txt").read_text().startswith("this is no database")


def test_a_database_server_that_is_away(ready: Any, one_sentence: Sentence) -> None:
    url = f"postgresql://me:{SECRET}@127.0.0.1:{closed_port()}/db"
    done = ready.run("fetch", "polygon", "AAPL", *DAYS, DATABASE_URL=url)
    assert "database" in one_sentence(done).lower()
    assert SECRET not in done.stderr + done.stdout


def test_a_url_of_no_database(ready: Any, one_sentence: Sentence) -> None:
    assert "sqlite:///relative.db" in one_sentence(ready.run("status", DATABASE_URL="mysql://x/y"))


def test_a_wrong_setting_stops_every_command_with_its_name(shell: Any, one_sentence: Sentence) -> None:
    sentences = [
        one_sentence(shell.run(*arguments, LOG__LEVEL="loud"))
        for arguments in (("up",), ("status",), ("fetch", "polygon", "AAPL", *DAYS))
    ]
    checked = shell.run("check", "--json", LOG__LEVEL="loud")
    assert checked.returncode == 1
    for sentence in (*sentences, *(one["sentence"] for one in json.loads(checked.stdout)["findings"])):
        assert "log.level" in sentence
        assert "MARKETFETCH_LOG__LEVEL" in sentence


def test_an_unknown_job(ready: Any, one_sentence: Sentence) -> None:
    job = ready.run("fetch", "polygon", "AAPL", *DAYS).stdout.strip()
    assert f"Did you mean {job}?" in one_sentence(ready.run("status", job[:-1] + "x"))
    assert "marketfetch status" in one_sentence(ready.run("status", "zzz"))


def test_without_a_worker_the_wait_says_so(ready: Any) -> None:
    waiting = ready.start("fetch", "polygon", "AAPL", *DAYS, "--wait")
    waiting.until(lambda: "No worker is running" in waiting.text)
    assert waiting.end() == 130


def test_check_names_what_is_wrong_and_what_to_do(ready: Any) -> None:
    away = f"redis://127.0.0.1:{closed_port()}/0"
    done = ready.run("check", "--json", REDIS_URL=away, DATABASE_URL="sqlite:////proc/nowhere/x.db")
    document = json.loads(done.stdout)
    wrong = {one["subject"]: one["sentence"] for one in document["findings"] if one["level"] == "error"}
    assert done.returncode == 1
    assert document["ok"] is False
    assert set(wrong) == {"redis", "database"}
    assert "MARKETFETCH_REDIS_URL" in wrong["redis"]
    assert "/proc/nowhere" in wrong["database"]


def test_up_says_at_boot_what_is_wrong(shell: Any) -> None:
    shell.variables["MARKETFETCH_REDIS_URL"] = f"redis://127.0.0.1:{closed_port()}/0"
    started = shell.start("up", "--concurrency", "1")
    started.until(lambda: "No vendor has an API key" in started.text and "can't be reached" in started.text)
    started.until(lambda: "in this folder, when a key is set and `marketfetch up` was started again: " in started.text)
    assert started.end() == 0
    assert "Traceback" not in started.text


def test_check_warns_of_a_redis_that_forgets_or_evicts(shell: Any, tmp_path: Path) -> None:
    from redis import Redis

    with start_valkey(tmp_path / "forgetful", appendonly=False) as valkey:
        with Redis.from_url(valkey.url) as redis:
            redis.config_set("maxmemory-policy", "allkeys-lru")
        done = shell.run("check", "--json", REDIS_URL=valkey.url)
    told = [(one["level"], one["sentence"]) for one in json.loads(done.stdout)["findings"] if one["subject"] == "redis"]
    assert any(level == "warning" and "appendonly yes" in sentence for level, sentence in told)
    assert any(level == "error" and "allkeys-lru" in sentence for level, sentence in told)


@pytest.fixture(scope="module")
def station(make_shell: Callable[[], Any]) -> Iterator[Any]:
    """Workers run; Alpha Vantage answers, Polygon refuses our key, Nasdaq's server is away."""
    shell = make_shell()
    with start_sandbox() as vendors:
        urls = {**vendors.base_urls, "nasdaq": f"http://127.0.0.1:{closed_port()}/api/v3"}
        shell.variables |= variables(urls, label="main")
        shell.variables["MARKETFETCH_PROVIDERS__POLYGON__API_KEYS"] = json.dumps([f"stale:{SECRET}"])
        shell.variables["MARKETFETCH_RETRIES__MOST"] = "1"
        shell.variables["MARKETFETCH_RETRIES__BACKOFF"] = "1"
        up = shell.start("up", "--concurrency", "2")
        try:
            up.until(lambda: "ready to fetch" in shell.run("check", "--json").stdout)
            yield shell
        finally:
            code = up.end()
        assert code == 0, up.text


@pytest.mark.parametrize(
    ("provider", "symbol", "says"),
    [
        ("alpha_vantage", "ZZZZ", ["ZZZZ", "UnknownSymbol", "spelling"]),
        ("polygon", "AAPL", ["AAPL", "BadCredentials", "'stale'"]),
        ("nasdaq", "EOD/AAPL", ["EOD/AAPL", "Unavailable", "connection"]),
    ],
)
def test_what_the_vendor_refuses_fails_with_its_reason_and_stores_nothing(
    station: Any, provider: str, symbol: str, says: list[str]
) -> None:
    before = stored(station.folder).get("bars", 0)
    done = station.run("fetch", provider, symbol, *DAYS, "--wait", "--json")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert (document["state"], document["rows"], document["requests"]["failed"]) == ("failed", 0, 1)
    (failure,) = document["failures"]
    assert failure["symbol"] == symbol
    for words in says:
        assert words in failure["reason"]
    assert "\n" not in failure["reason"]
    assert "Traceback" not in done.stderr
    assert stored(station.folder)["bars"] == before
    everything = done.stdout + done.stderr
    everything += "".join(path.read_text() for path in (station.folder / ".marketfetch" / "logs").iterdir())
    assert SECRET not in everything
