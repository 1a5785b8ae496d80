"""`@name` stands for the symbols of a universe, wherever symbols are given; one that can't be read stops no other symbol."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from marketfetch import connections, submit
from marketfetch.cli.main import marketfetch as command
from marketfetch.exceptions import BadRequestError
from marketfetch.jobs.submission import submit_for
from marketfetch.ops.universes import resolved
from marketfetch.sections import ListedUniverse
from marketfetch.settings import get_settings, override

TOML = '[universes]\nwatchlist = ["AAPL", "MSFT"]\nlist = "lists/sp500.csv"\nempty = []\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder with settings and a table of symbols beside them; commands run in another one."""
    beside = tmp_path / "settings"
    (beside / "lists").mkdir(parents=True)
    (beside / "marketfetch.toml").write_text(TOML)
    (beside / "lists" / "sp500.csv").write_text("name;symbol\nCoca-Cola;KO\nApple;AAPL\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.txt").write_text("PEP # a comment\nK O\nAAPL\n")
    monkeypatch.chdir(elsewhere)
    with override({"MARKETFETCH_CONFIG": str(beside / "marketfetch.toml")}):
        yield beside
    get_settings.cache_clear()


def test_names_and_files_are_symbols_each_once(folder):
    assert resolved(["IBM", "@watchlist", "@list", "@mine.txt"]).symbols == ("IBM", "AAPL", "MSFT", "KO", "PEP", "K", "O")
    assert resolved(["AAPL", "AAPL"]).symbols == ("AAPL", "AAPL")  # no universe: the planner says that it is named twice


def test_a_file_that_vanished_costs_its_own_symbols_only(folder):
    (folder / "lists" / "sp500.csv").unlink()
    found = resolved(["@list", "@watchlist", "@gone.txt"])
    assert found.symbols == ("AAPL", "MSFT")
    first, second = found.notes
    assert first.startswith(
        f"The universe @list was left out: {folder}/lists/sp500.csv can't be read (No such file or directory)."
    )
    assert first.endswith("Its symbols are not asked for until the file is there again; what is stored stays.")
    assert second.endswith("gone.txt can't be read (No such file or directory).")
    assert "@gone.txt was left out" in second
    with pytest.raises(BadRequestError, match="@list was left out"):
        resolved(["@list"])


def test_what_is_no_symbol_is_left_out_with_a_sentence(folder):
    (folder / "lists" / "sp500.csv").write_text("symbol,name\nKO,Coca-Cola\nK€,Kellogg\n")
    found = resolved(["@list"])
    assert found.symbols == ("KO",)
    assert found.notes == ("@list: the symbol 'K€' has '€', and symbols are written in ASCII, so it is left out.",)
    (folder / "lists" / "sp500.csv").write_bytes(b"KO\n\xff\n")
    assert "is no text in UTF-8 (look at line 2)" in resolved(["KO", "@list"]).notes[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["@watchlists"], "There is no universe @watchlists. Did you mean @watchlist? There are @watchlist, @list, @empty."),
        (["@empty"], "The universe @empty has no symbol"),
    ],
)
def test_an_unknown_universe_names_those_that_there_are(folder, words, says):
    with pytest.raises(BadRequestError) as caught:
        resolved(words)
    assert says in str(caught.value)


def test_a_job_has_the_symbols_of_its_moment(emptied, tmp_path, monkeypatch):
    emptied()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.txt").write_text("KO PEP")
    first = submit("polygon", ["@list.txt", "IBM"], start="2024-01-02", end="2024-01-05")
    (tmp_path / "list.txt").write_text("KO")
    second = submit_for("some-task", "polygon", ["@list.txt", "@gone.txt"], start="2024-01-02", end="2024-01-05")
    done = CliRunner().invoke(command, ["fetch", "polygon", "@list.txt", "@gone.txt", "--name", "by hand", "--json"])
    assert "The universe @gone.txt was left out" in done.stderr, done.output
    jobs = [connections.store().job(one) for one in (first.job_id, second, json.loads(done.stdout)["job"])]
    symbols = [json.loads(one.spec)["symbols"] for one in jobs if one]
    assert symbols == [["KO", "PEP", "IBM"], ["KO"], ["KO"]]


def test_a_live_universe_is_what_the_vendor_lists_now(emptied, tmp_path, monkeypatch):
    emptied()
    monkeypatch.chdir(tmp_path)
    known = {
        "all": ListedUniverse(listed="polygon"),
        "us": ListedUniverse(listed="polygon", kind=["CS"]),
        "etfs": ListedUniverse(listed="polygon", kind=["X"]),
    }
    with pytest.raises(BadRequestError, match="`marketfetch fetch polygon --dataset symbols` fetches the list"):
        resolved(["@us"], known=known)
    rows = [
        ("polygon", "NEW", "active", "CS", None),
        ("polygon", "GONE", "active", "CS", 1),
        ("polygon", "DEAD", "delisted", "CS", None),
        ("polygon", "SPY", "active", "ETF", None),
        ("alpha_vantage", "IBM", "active", "Stock", None),
    ]
    empty = "listing, name, exchange, market, currency, vendor_id"
    sql = (
        f"INSERT INTO symbols (provider, symbol, status, kind, gone_at, {empty}, first_seen, fetched_at, ledger_id) "
        "VALUES (?, ?, ?, ?, ?, '', '', '', '', '', '', 1, 1, 1)"
    )
    connections.store().database.change(lambda do: [do(sql, *row) for row in rows])
    assert resolved(["@us", "IBM"], known=known).symbols == ("NEW", "IBM")
    assert resolved(["@all"], known=known).symbols == ("NEW", "SPY")
    found = resolved(["@etfs", "@us"], known=known)
    assert (found.symbols, len(found.notes)) == (("NEW",), 1)
    assert "the list of polygon has no symbol of these kinds and exchanges" in found.notes[0]
    assert "It does not know X. Its kinds are CS, ETF, its exchanges none." in found.notes[0]


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ("nasdaq", 'nasdaq has no list of its symbols. Write listed = "alpha_vantage", or name a file.'),
        ("polygn", "There is no vendor 'polygn'. Did you mean 'polygon'?"),
    ],
)
def test_a_list_that_no_fetch_brings_is_not_advised(emptied, listed, says):
    emptied()
    with pytest.raises(BadRequestError) as caught:
        resolved(["@it"], known={"it": ListedUniverse(listed=listed)})
    assert says in str(caught.value)
    assert "--dataset symbols" not in str(caught.value)
