"""The command as it is typed: help at once, typing errors with a did-you-mean, exit codes."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from marketfetch.cli import script
from marketfetch.cli.main import marketfetch
from marketfetch.ops import key_status
from marketfetch.settings import environment
from marketfetch.storage.store import StoreUnavailable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def runner() -> CliRunner:
    return CliRunner()


def failing(error: BaseException) -> click.Group:
    """The real group with one more command, which raises `error`."""

    @click.command()
    def fails() -> None:
        raise error

    group = type(marketfetch)("marketfetch", params=list(marketfetch.params), callback=marketfetch.callback)
    group.add_command(fails)
    return group


def test_help_comes_at_once_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, marketfetch.cli.main; marketfetch.cli.main.marketfetch.commands;"
        "print(*sorted({'celery', 'sqlalchemy', 'pydantic', 'numpy', 'redis', 'rich', 'requests'} & set(sys.modules)))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.strip() == ""
    assert used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime < 2.0


#: What no short command has a use for, each in its own way slow to import; of ours what only writes rows or runs calls.
#: Redis is asked by those that have something to ask it: none of the jobs that `status` lists here runs.
SLOW = {"celery", "kombu", "numpy", "polars", "pyarrow", "sqlalchemy", "psycopg", "requests", "urllib3", "structlog", "fastapi"}
SLOW |= {"pydantic_settings", "pydantic.dataclasses"}
SLOW |= {"marketfetch.storage.sqlite.writing", "marketfetch.schemas.page", "marketfetch.schemas.bars", "marketfetch.cli.up"}


@pytest.mark.parametrize(
    ("words", "unused", "most"),
    [
        ("status", {"redis", "asyncio", "marketfetch.jobs.submission", "marketfetch.jobs.scheduling"}, 166),
        ("quotas", {"marketfetch.jobs"}, 150),
        ("fetch polygon AAPL --start 2024-01-02 --end 2024-01-03", set[str](), 184),
    ],
)
def test_a_short_command_imports_only_what_it_uses(tmp_path: Path, words: str, unused: set[str], most: int) -> None:
    # Without a Redis `fetch` ends with a sentence, after all imports of its own.
    code = (
        "import sys\nfrom marketfetch.cli.script import main\ntry:\n    main()\n"
        "finally:\n    print(*sys.modules, file=open('loaded', 'w'))"
    )
    plain = {name: value for name, value in environment().items() if not name.startswith("MARKETFETCH_")}
    away = {"MARKETFETCH_REDIS_URL": "redis://127.0.0.1:1/0", "MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:S3CR3T"]'}
    subprocess.run([sys.executable, "-c", code, *words.split()], cwd=tmp_path, env=plain | away, capture_output=True)
    loaded = (tmp_path / "loaded").read_text().split()
    assert sorted((SLOW | unused) & set(loaded)) == []
    assert {"marketfetch.connections", f"marketfetch.cli.{words.split()[0]}"} <= set(loaded)
    # Each module costs its share of the 0.3 s: one more is a choice.
    assert len([one for one in loaded if one.startswith("marketfetch.")]) <= most


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("90", 90), ("30s", 30), ("5m", 300), ("2H", 7_200), ("1.5h", 5_400), ("1d", 86_400), (None, 86_400)]
    + [(wrong, None) for wrong in ("0", "0.5s", "5 weeks", "1y", "-5m", "367d", "")],
)
def test_a_pause_is_as_long_as_written(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, written: str | None, seconds: float | None
) -> None:
    paused: list[float] = []

    def pause(_label: str, *, provider: str, seconds: float) -> str:
        paused.append(seconds)
        return provider

    monkeypatch.setattr(key_status, "pause", pause)
    options = [] if written is None else ["--for", written]
    done = runner.invoke(marketfetch, ["quotas", "pause", "main", "--provider", "polygon", *options])
    if seconds is None:
        assert (done.exit_code, paused) == (2, [])
        assert "write seconds, or 30s, 5m, 2h, 1d" in done.stderr
    else:
        assert (done.exit_code, paused) == (0, [seconds])


def test_ctrl_c_while_the_commands_are_imported_prints_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "marketfetch.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "marketfetch.cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    with pytest.raises(SystemExit) as ended:
        script.main()
    assert (ended.value.code, capsys.readouterr().err) == (130, "\n")
    # What is loaded before the `try` is next to nothing.
    loaded = "import sys, marketfetch.cli.script; print(*sorted(one for one in sys.modules if one.startswith('marketfetch')))"
    done = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "marketfetch.cli.main" not in done.stdout.split()
    assert "click" not in done.stdout.split()


def test_every_command_has_help_that_says_what_it_does(runner: CliRunner) -> None:
    assert {"demo", "up", "fetch", "status", "read", "check"} <= set(marketfetch.commands)
    for name, command in marketfetch.commands.items():
        result = runner.invoke(marketfetch, [name, "--help"])
        assert result.exit_code == 0
        assert command.help
        undescribed = [one.name for one in command.params if isinstance(one, click.Option) and not one.help]
        assert undescribed == []


def test_the_version_is_told(runner: CliRunner) -> None:
    result = runner.invoke(marketfetch, ["--version"])
    assert result.exit_code == 0
    assert result.output.startswith("marketfetch")


def test_a_mistyped_command_is_guessed(runner: CliRunner) -> None:
    result = runner.invoke(marketfetch, ["fecth"])
    assert result.exit_code == 2
    assert "fetch" in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fetch"], "PROVIDER"),
        (["fetch", "polygon"], "at least one symbol"),
        (["fetch", "polygon", "AAPL", "--start", "01/02/2024"], "01/02/2024"),
        (["read", "polygon", "bars", "absent.json"], "absent.json"),
        (["read", "polygon", "bars", "-", "--header", "no header"], "Retry-After: 5"),
        (["up", "--workers", "0"], "--workers"),
        (["up", "--pool", "gevent"], "The pool 'gevent' does not work with marketfetch"),
        (["up", "--pool", "gevent"], "Use `threads` for many calls at once in one process, or `prefork`"),
        (["fetch", "polygon", "AAPL", "--wiat"], "--wait"),
    ],
)
def test_a_command_written_wrongly_exits_with_2_and_says_what(runner: CliRunner, arguments: list[str], says: str) -> None:
    result = runner.invoke(marketfetch, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_an_expected_error_is_one_sentence(runner: CliRunner) -> None:
    result = runner.invoke(failing(StoreUnavailable("the disk is full: free some")), ["fails"])
    assert (result.exit_code, result.output) == (1, "Error: the disk is full: free some\n")


def test_an_unexpected_error_is_one_sentence_without_secrets(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from marketfetch import settings

    monkeypatch.chdir(tmp_path)
    with settings.override({"MARKETFETCH_PROVIDERS__POLYGON__API_KEYS": '["main:s3cr3t"]'}):
        result = runner.invoke(failing(ZeroDivisionError("at s3cr3t")), ["fails"])
    assert result.exit_code == 1
    assert len(result.output.splitlines()) == 1
    assert "ZeroDivisionError: at ***" in result.output
    assert "--traceback" in result.output


def test_a_traceback_is_shown_to_who_asks(runner: CliRunner) -> None:
    result = runner.invoke(failing(ZeroDivisionError("here")), ["--traceback", "fails"])
    assert isinstance(result.exception, ZeroDivisionError)


def test_ctrl_c_exits_with_130(runner: CliRunner) -> None:
    assert runner.invoke(failing(KeyboardInterrupt()), ["fails"]).exit_code == 130


def test_celery_offers_the_command_too(shell: Any) -> None:
    """Through the entry point that pyproject.toml declares."""
    import tomllib

    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["celery.commands"]
    assert declared == {"marketfetch": "marketfetch.cli.main:marketfetch"}
    code = (
        "import celery.bin.celery as c; from marketfetch.cli.main import marketfetch; c.celery.add_command(marketfetch);"
        "import sys; sys.argv = ['celery', '-A', 'tasks', 'marketfetch', 'status', 'absent']; c.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=shell.folder, env=shell.environment({}), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "There is no job 'absent'" in done.stderr
    assert "Traceback" not in done.stderr
