"""`marketfetch rejects`, on both databases: counts by reason first, then rows, harmless whatever the vendor sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from marketfetch import connections, settings
from marketfetch.cli.main import marketfetch as command
from marketfetch.schemas.page import Reject
from marketfetch.storage.store import Job, Store
from tests.storage.batches import batch
from tests.storage.conftest import postgres_url, store, url  # noqa: F401 (pytest finds the fixtures here)

LOW = Reject(3, "low", "101.5", "low is above open or close", "AAPL")
SECRET = "k3y-of-the-user"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["rejects", *arguments])


@pytest.fixture
def configured(url: str, store: Store, tmp_path, monkeypatch) -> Iterator[Store]:  # noqa: F811
    monkeypatch.chdir(tmp_path)
    keys = {"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": f"main:{SECRET}"}
    with settings.override({"MARKETFETCH_DATABASE_URL": url, **keys}):
        yield store
        connections._forget()


def fill(into: Store) -> None:
    high = [Reject(row, "high", f"{row}.5", "high is below open or close", "MSFT") for row in range(4)]
    into.save_job(Job("feed0123456789ab", "{}", 1), ["a"])
    huge = Reject(0, "close", "9e11", "price is above 1e+10", "FEED")
    into.store([batch("a", rejects=(LOW, *high)), batch("b", symbol="FEED", rejects=(huge,))])


def test_counts_by_reason_come_first_then_the_rows(configured):
    fill(configured)
    done = run()
    assert done.exit_code == 0, done.output
    title, head, first, *_ = done.stdout.splitlines()
    assert title == "all vendors: 6 rejected rows."
    assert head.split() == ["rows", "symbols", "field", "reason"]
    assert first.split() == ["4", "1", "high", "high", "is", "below", "open", "or", "close"]
    assert "101.5" in done.stdout
    assert "These rows are not stored" in done.stderr


def test_a_job_a_vendor_and_a_symbol_choose(configured):
    fill(configured)

    def chosen(*words: str) -> dict[str, int]:
        document = json.loads(run(*words, "--json").stdout)
        return {one["field"]: one["rows"] for one in document["reasons"]}

    assert chosen("polygon") == {"high": 4, "low": 1, "close": 1}
    assert chosen("alpha_vantage") == {}
    assert chosen("feed0123456789ab") == chosen("feed01") == {"high": 4, "low": 1}
    assert chosen("MSFT") == {"high": 4}
    assert chosen("FEED") == {"close": 1}, "a symbol that also begins a job's id is the symbol"
    assert chosen("feed0123456789ab", "--reason", "LOW IS") == {"low": 1}
    assert chosen("--reason", "100%_") == {}


def test_what_is_known_of_nothing_is_one_sentence(configured):
    fill(configured)
    done = run("NOSUCH")
    assert done.exit_code == 1
    assert "'NOSUCH' is no vendor (alpha_vantage, nasdaq, polygon), no job, and no symbol" in done.output
    assert run("alpha_vantage").output.startswith("No row of alpha_vantage was rejected")
    assert "No rejected row of polygon has 'gap'" in run("polygon", "--reason", "gap").output


def test_rejects_that_are_counted_and_not_kept_are_in_the_counts_of_a_vendor(configured):
    one = batch("c", rejects=(LOW,))
    object.__setattr__(one.ledger, "rejects", 1_000)
    configured.store([one])
    assert "polygon: 1,000 rejected rows, of which 1 are kept." in run("polygon").stdout
    document = json.loads(run("polygon", "--json").stdout)
    assert (document["rejected"], document["kept"]) == (1_000, 1)
    assert document["rows"][0]["rejected_at"].endswith("+00:00")


def test_the_rows_are_bounded_and_it_says_how_many_there_are(configured):
    fill(configured)
    done = run("--limit", "2")
    assert "2 of 6 kept rows are listed" in done.stderr
    assert len(json.loads(run("--limit", "0", "--json").stdout)["rows"]) == 0


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_has_whole_times_and_a_line_a_row(configured, monkeypatch, width):
    fill(configured)
    with monkeypatch.context() as terminal:
        terminal.setenv("FORCE_COLOR", "1")
        terminal.setenv("COLUMNS", f"{width}")
        done = run()
    rows = [line for line in done.stdout.splitlines() if re.match(r"\d{4}-", line)]
    assert len(rows) == 6
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", row) and len(row) <= width for row in rows), rows
    assert ("Without vendor, row and request, for which the terminal is too narrow" in done.stderr) == (width == 60)


def test_hostile_text_and_secrets_never_reach_the_terminal(configured):
    evil = f"\x1b[2J\u202e{SECRET}\n{'x' * 150}"
    configured.store([batch("d", symbol="E\x1b[31mVIL", rejects=(Reject(0, evil, evil, f"bad {SECRET}", "E\x1b[31mVIL"),))])
    for arguments in ((), ("--json",)):
        text = run(*arguments).output
        assert SECRET not in text
        assert not {"\x1b", "\u202e"} & set(text)
    assert max(map(len, run().stdout.splitlines())) < 700


def test_without_tables_it_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}):
        done = run()
        connections._forget()
    assert done.exit_code == 1
    assert "No reject is stored" in done.output
    assert not (tmp_path / "none.db").exists()
