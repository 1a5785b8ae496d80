"""Every document that a command prints with --json is of its documented schema, and stdout is one document in any case."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from marketfetch import connections, settings
from marketfetch.cli.main import commands, marketfetch
from marketfetch.documents.of_commands import DOCUMENTS
from marketfetch.sealing import new_master_key
from marketfetch.settings import get_settings
from tests.around import json_page
from tests.cli.test_empty_folder import REDIS, WRITING, calls
from tests.frames.test_gaps import keep_days
from tests.jobs.conftest import emptied  # noqa: F401 (pytest finds the fixture here)

#: These end processes, or print no data: a shell script, a reply as it came, nothing.
NO_JSON = {"demo", "init", "up", "serve", "completion", "dead reply"}
TOML = """
[universes]
list = ["AAPL"]
[[schedule]]
name = "nightly"
provider = "polygon"
universe = "list"
last = "2 sessions"
when = "session close + 20m"
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(marketfetch, arguments)


def strict() -> dict[str, Any]:
    """The schemas, in which a field that they do not name is an error."""
    made = json_page.schemas()
    for one in made["$defs"].values():
        if "properties" in one:
            one["additionalProperties"] = False
    return made


SCHEMAS = strict()


def check(name: str, done: Result) -> Any:
    """The document on stdout, after it was held against the schema of `name`."""
    (line,) = done.stdout.splitlines()
    document = json.loads(line)
    schema = SCHEMAS["commands"][name] if name else SCHEMAS["failed"]
    jsonschema.validate(document, {**schema, "$defs": SCHEMAS["$defs"]}, format_checker=jsonschema.FormatChecker())
    return document


def test_the_page_and_the_schemas_are_of_today() -> None:
    assert json_page.PAGE.read_text() == json_page.page(), "run: python -m tests.around.json_page"
    assert json.loads(json_page.SCHEMAS.read_text()) == json_page.schemas(), "run: python -m tests.around.json_page"


def test_every_command_that_prints_data_has_json_and_a_schema() -> None:
    for name, one in commands(marketfetch):
        if isinstance(one, click.Group) and not one.invoke_without_command:
            continue
        has = any("--json" in param.opts for param in one.params)
        assert has == (name not in NO_JSON), name
        assert has == any(documented == name or documented.startswith(f"{name} ") for documented in DOCUMENTS), name


@pytest.fixture
def stocked(emptied: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:  # noqa: F811
    """A folder with bars, a schedule, an archive, and a job whose id is returned."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marketfetch.toml").write_text(f'archive = "{tmp_path}/archive"\nmaster_key_file = "{tmp_path}/master"\n{TOML}')
    (tmp_path / "master").write_text(new_master_key())
    (tmp_path / "archive").mkdir()
    get_settings.cache_clear()
    emptied()
    for provider in ("polygon", "nasdaq"):
        keep_days(connections.store(), "AAPL", [date(2024, 1, day) for day in (2, 3, 4, 9)], provider=provider)
    done = run("fetch", "polygon", "KO", "--start", "2024-01-02", "--end", "2024-01-05", "--json")
    yield str(check("fetch", done)["job"])
    get_settings.cache_clear()


RECORDED = Path(__file__).parents[1] / "recordings"


def test_what_the_commands_print_is_of_its_schema(stocked: str, tmp_path: Path) -> None:
    (tmp_path / "reply.json").write_text('{"status": "OK", "ticker": "KO", "resultsCount": 1, "results": [{"t": 1}]}')
    lines = {
        "retry": f"retry {stocked}",
        "cancel": f"cancel {stocked}",
        "fetch --dry-run": "fetch polygon PEP --start 2024-01-02 --end 2024-01-05 --dry-run",
        "plan": "plan polygon PEP --start 2024-01-02 --end 2024-01-05",
        "update": "update polygon PEP",
        "vendors": "vendors",
        "datasets": "datasets",
        "status": "status",
        "status JOB": f"status {stocked}",
        "status --freshness": "status --freshness",
        "show SYMBOL": "show AAPL --provider polygon",
        "show @UNIVERSE": "show @list --provider polygon",
        "show --dataset DATASET": "show --dataset splits",
        "export": "export out.csv --symbols AAPL --provider polygon",
        "quotas": "quotas",
        "quotas health": "quotas health",
        "quotas pause": "quotas pause main --provider polygon",
        "quotas resume": "quotas resume main --provider polygon",
        "dead": "dead",
        "dead retry": "dead retry --all",
        "dead drop": "dead drop --all",
        "rejects": "rejects",
        "doctor": "doctor",
        "compare": "compare polygon nasdaq AAPL",
        "replay": "replay --dry-run",
        "read": "read polygon bars reply.json",
        "gaps": "gaps",
        "schedule list": "schedule list",
        "schedule next": "schedule next",
        "schedule run": "schedule run nightly",
        "schedule pause": "schedule pause nightly",
        "schedule resume": "schedule resume nightly",
        "check": "check",
        "archive show": "archive show",
        "archive purge": "archive purge --older-than 90d --dry-run",
        "watch JOB": f"watch {stocked}",
        "resume": "resume",
        "watch": "watch",
        "purge --older-than": "purge --older-than 90d",
        "purge --parked": "purge --parked all --yes",
        "set NAME VALUE": "set whole_market_from 20",
        "set --list": "set --list",
        "set --history": "set --history",
        "set --new-master-key": "set --new-master-key",
        "set --rotate-master-key": "set --rotate-master-key",
        "token create": "token create notebook",
        "token list": "token list",
        "token revoke": "token revoke notebook",
    }
    printed = {name: check(name, run(*line.split(), "--json")) for name, line in lines.items() if name != "watch"}
    printed["watch"] = check("watch", run("watch", "--json"))
    assert DOCUMENTS.keys() - printed.keys() == {"fetch", "fetch --wait", "update --wait", "search", "dead show"}
    assert printed["gaps"]["gaps"]
    assert printed["show @UNIVERSE"]["series"][0]["bars"]
    assert printed["schedule list"]["schedules"]
    assert printed["doctor"]["series"] == 2
    assert printed["compare"]["comparisons"]
    assert printed["read"]["outcome"]


def test_a_document_of_another_shape_would_be_noticed(stocked: str) -> None:
    done = run("status", "--json")
    with pytest.raises(jsonschema.ValidationError):
        check("schedule list", done)


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        ("status 4f2a", 1, "There is no job"),
        ("status --limit none", 2, "whole number"),
        ("fetch nosuch AAPL", 2, "There is no vendor 'nosuch'"),
        ("nosuch", 2, "No such command"),
        ("gaps --nosuch", 2, "--nosuch"),
        ("quotas", 1, "Redis"),
    ],
)
def test_a_failure_is_a_problem_document_and_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, code: int, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for cache in (connections._redis, connections._gate, connections._database):
        cache.cache_clear()
    with settings.override({"MARKETFETCH_REDIS_URL": REDIS, "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": "main:secret"}):
        done = run(*line.split(), "--json")
    connections._redis.cache_clear()
    connections._gate.cache_clear()
    found = check("", done)
    assert (done.exit_code, found["exit_code"]) == (code, code)
    assert says in found["detail"]
    assert says in done.stderr
    assert found["type"].startswith("urn:marketfetch:problem:")


@pytest.mark.parametrize("name", sorted(calls()))
def test_no_command_writes_an_escape_sequence_into_a_pipe(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Colours are for terminals. FORCE_COLOR turns them on in a pipe, and NO_COLOR turns these off."""
    monkeypatch.chdir(tmp_path)
    assert name not in WRITING
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(variable, raising=False)
    with settings.override({"MARKETFETCH_REDIS_URL": REDIS}):
        for arguments in (calls()[name], [*name.split(), "--help"]):
            done = run(*arguments)
            assert "\x1b" not in done.output, name
            assert "\x1b" not in done.stderr, name


def test_colours_are_as_the_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    colour = re.compile(r"\x1b\[(?:\d+;)*3\d")

    def coloured(**variables: str) -> bool:
        with pytest.MonkeyPatch.context() as patch, settings.override({"MARKETFETCH_REDIS_URL": REDIS}):
            for name, value in {"TERM": "xterm-256color", **variables}.items():
                patch.setenv(name, value)
            return bool(colour.search(run("check").output))

    assert not coloured()
    assert coloured(FORCE_COLOR="1")
    assert not coloured(FORCE_COLOR="1", NO_COLOR="1")
    assert not coloured(FORCE_COLOR="1", TERM="dumb")
