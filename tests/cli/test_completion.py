"""The completion of words: by a real bash, and each value's own. Redis is never asked; what can't be read offers nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from marketfetch import settings
from marketfetch.cli.completion import COMPLETE_VARIABLE
from marketfetch.cli.main import marketfetch
from marketfetch.settings import environment
from tests.cli.conftest import Shell
from tests.frames.conftest import DAY_MS, JANUARY_2, Keep, columns_of, in_sqlite  # noqa: F401 (pytest finds the fixture here)

#: Nothing listens there.
AWAY = "redis://127.0.0.1:1/0"
TOML = """
redis_url = "redis://127.0.0.1:1/0"
[universes]
watch = ["AAPL"]
winners = ["MSFT"]
[[schedule]]
name = "nightly"
provider = "polygon"
universe = "watch"
when = "session close + 20m"
[providers.polygon]
api_keys = ["main:secret", "second:secret2"]
[providers.nasdaq]
api_keys = ["other:secret3"]
"""


def offered(line: str) -> list[str]:
    """What the last word of a line is completed to."""
    *before, typed = line.split(" ")
    completion = ShellComplete(marketfetch, {}, "marketfetch", COMPLETE_VARIABLE)
    return [str(one.value) for one in completion.get_completions(before, typed)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "marketfetch.toml").write_text(TOML)
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{tmp_path}/bars.db"}):
        yield tmp_path


def test_vendors_datasets_keys_schedules_and_universes_are_offered(folder: Path) -> None:
    assert offered("fet") == ["fetch"]
    assert offered("fetch p") == ["polygon"]
    assert offered("gaps al") == ["alpha_vantage"]
    assert offered("compare polygon n") == ["nasdaq"]
    assert "WIKI/PRICES" in offered("fetch nasdaq A --dataset W")
    assert offered("fetch polygon A --dataset W") == []
    assert offered("quotas pause ") == ["other", "main", "second"]
    assert offered("quotas pause --provider polygon m") == ["main"]
    assert offered("schedule run n") == ["nightly"]
    assert offered("set max_rej") == ["max_reject_share"]
    assert "universes.watch" in offered("set --unset u")
    assert offered("fetch polygon @w") == ["@watch", "@winners"]


def test_jobs_tokens_and_stored_symbols_come_from_the_database(in_sqlite: Keep) -> None:  # noqa: F811
    from marketfetch import connections
    from marketfetch.ops import access_tokens
    from marketfetch.storage.store import Job

    for cache in (connections._database, connections._verified):
        cache.cache_clear()
    in_sqlite("AAPL", columns_of([JANUARY_2]))
    in_sqlite("MSFT", columns_of([JANUARY_2 + DAY_MS]))
    with settings.override({"MARKETFETCH_REDIS_URL": AWAY, "MARKETFETCH_DATABASE_URL": f"sqlite:///{Path.cwd()}/bars.db"}):
        connections.store().save_job(Job("4f2a000000000001", "{}", 1, None, name="weekly"), [])
        assert offered("status 4f") == ["4f2a000000000001"]
        for name in ("shop", "shelf", "nightly"):
            access_tokens.create(name)
        access_tokens.revoke("shelf")
        assert offered("token revoke sh") == ["shop"]
        assert offered("cancel we") == ["weekly"]
        assert offered("show A") == ["AAPL"]
        assert offered("gaps polygon M") == ["MSFT"]
    for cache in (connections._store, connections._database, connections._verified):
        cache.cache_clear()


@pytest.mark.parametrize("line", ["status 4", "show A", "fetch polygon A", "fetch polygon --dataset b", "schedule run n"])
@pytest.mark.parametrize("broken", ["settings", "database"])
def test_what_cannot_be_read_offers_nothing_and_says_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], line: str, broken: str
) -> None:
    if broken == "settings":
        (folder / "marketfetch.toml").write_text("this is = = no TOML")
    else:
        (folder / "bars.db").write_bytes(b"no database" * 100)
    with settings.override({"MARKETFETCH_DATABASE_URL": f"sqlite:///{folder}/bars.db"}):
        found = offered(line)
    assert set(found) <= {"bars", "nightly"}
    assert capfd.readouterr() == ("", "")


#: A script of each shell that completes `marketfetch quotas pause ma`, and prints what is offered.
TYPED = {
    "bash": """
        eval "$(marketfetch completion bash)"
        complete -p marketfetch | grep -q -- "-F _marketfetch_completion marketfetch" || exit 1
        COMP_WORDS=(marketfetch quotas pause ma) COMP_CWORD=3
        _marketfetch_completion marketfetch ma pause
        echo "${COMPREPLY[@]}"
    """,
    # Its completion system needs a terminal: what it calls the function with is set here, and what it offers with is printed.
    "zsh": """
        compdef() { registered="$*" }
        compadd() { print -r -- $completions }
        _describe() { print -r -- ${completions_with_descriptions%%:*} }
        eval "$(marketfetch completion zsh)"
        [[ $registered == "_marketfetch_completion marketfetch" ]] || exit 1
        words=(marketfetch quotas pause ma) CURRENT=4
        _marketfetch_completion
    """,
    "fish": """
        marketfetch completion fish | source
        complete --do-complete "marketfetch quotas pause ma"
    """,
}
PLAIN = {"bash": "--norc", "zsh": "--no-rcs", "fish": "--no-config"}


@pytest.mark.parametrize("name", TYPED)
def test_a_shell_completes_the_command_as_a_person_types_it(shell: Shell, name: str) -> None:
    """In a real one, through the function that the script defines, without Redis."""
    where = shutil.which(name)
    if where is None:
        pytest.skip(f"there is no {name} on this machine; CI has it from .ci/packages.txt")
    (shell.folder / "marketfetch.toml").write_text(TOML)
    command = shell.folder / "marketfetch"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -P -m marketfetch "$@"\n')
    command.chmod(0o755)
    variables = {**shell.environment({}), "PATH": f"{shell.folder}{os.pathsep}{environment()['PATH']}"}
    variables["HOME"] = str(shell.folder)
    done = subprocess.run(
        [where, PLAIN[name], "-c", TYPED[name]], cwd=shell.folder, env=variables, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, ["main"], "")
