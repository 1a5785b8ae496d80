"""What is written wrongly exits with 2 and says what to write instead, wherever it is looked for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from marketfetch import connections, settings
from marketfetch.cli.main import marketfetch
from tests.cli.test_empty_folder import REDIS
from tests.frames.conftest import DAY_MS, JANUARY_2, Keep, columns_of, in_sqlite  # noqa: F401 (pytest finds the fixture here)

MEANT = "There is no vendor 'polygn'. Did you mean 'polygon'?"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("show AAPL --provider polygn", MEANT),
        ("doctor --provider polygn", MEANT),
        ("gaps polygn AAPL", MEANT),
        ("gaps Polygon", "There is no vendor 'Polygon'. Did you mean 'polygon'?"),
        ("export out.csv --provider polygn", MEANT),
        ("compare polygn nasdaq AAPL", MEANT),
        ("plan polygn AAPL", MEANT),
        ("rejects polygn", "no vendor"),
    ],
)
def test_a_misspelt_vendor_is_corrected(in_sqlite: Keep, line: str, says: str) -> None:  # noqa: F811
    in_sqlite("AAPL", columns_of([JANUARY_2, JANUARY_2 + DAY_MS]))
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{Path.cwd()}/bars.db"}):
        connections._database.cache_clear()
        done = CliRunner().invoke(marketfetch, line.split())
        connections._database.cache_clear()
    assert says in done.stderr
    assert done.exit_code == (1 if line.startswith("rejects") else 2)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("plan polygon aapl", "AAPL"),
        ("plan polygon AAPL --dataset flat_files --timespan 5m", "flat_files"),
        ("plan polygon AAPL --dataset nosuch", "has no dataset"),
        ("plan nasdaq AAPL --timespan 5m", "nasdaq has no bars of 5m"),
        ("plan alpha_vantage BRK.B", "BRK-B"),
        ("plan nasdaq AAPL --start 2020-01-01", "ended on 2018-03-27"),
        ("plan polygon A€", "ASCII"),
    ],
)
def test_what_the_vendors_rules_forbid_is_written_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = {f"MARKETFETCH_PROVIDERS__{name}__API_KEYS": "main:secret" for name in ("POLYGON", "NASDAQ", "ALPHA_VANTAGE")}
    with settings.override({"MARKETFETCH_REDIS_URL": REDIS, **keys}):
        done = CliRunner().invoke(marketfetch, line.split())
    assert says in done.output
    assert done.exit_code == 2, done.output


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("show AAPL --plot --json", "a picture is no JSON"),
        ("show AAPL --output a.png --json", "a picture is no JSON"),
        ("up --web 0", "--web"),
        ("up --web 65536", "--web"),
        ("up --require-token", "write --web too"),
        ("token create ' shop'", "A token has a name"),
        ("token create shop --submits often", "A limit of submits is written like 60/minute"),
        ("token create shop --submits 5/day@UTC", "A limit of submits is a number"),
        ("token create shop --scope admin --owner acme", "has the scope read or submit"),
        ("set max_reject_share 7", "max_reject_share"),
        ("set nosuch 7", "no setting"),
    ],
)
def test_a_value_that_can_not_be_right_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for cache in (connections._database, connections._verified):
        cache.cache_clear()
    with settings.override({"MARKETFETCH_REDIS_URL": REDIS, "MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db"}):
        done = CliRunner().invoke(marketfetch, shlex.split(line))
    assert says in done.stderr
    assert done.exit_code == 2, done.output
    assert not [*tmp_path.iterdir()]
