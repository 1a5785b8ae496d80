"""What a person at a terminal sees: bars of progress, coloured tables, the keys' state in words."""

from __future__ import annotations

import io
import itertools
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from marketfetch.cli import progress, screen
from marketfetch.cli.main import marketfetch
from marketfetch.cli.progress import Bars, Lines, follow, watched
from marketfetch.exceptions import UnavailableError
from marketfetch.jobs.job_values import Counts, JobStatus, NextCall
from marketfetch.ops import key_status
from marketfetch.ops.key_status import KeyLine
from marketfetch.quotas.values import Health, KeyReport, LimitUse

ESC = "\x1b["


def status(state: Any = "running", *, trouble: tuple[str, ...] = (), **requests: int) -> JobStatus:
    return JobStatus(
        job="j",
        provider="polygon",
        state=state,
        requests=Counts(total=sum(requests.values()), **requests),
        rows=1234,
        rejects=5,
        eta_seconds=None,
        failures=[],
        reject_reasons={},
        trouble=list(trouble),
    )


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False, markup=False, legacy_windows=False)
    monkeypatch.setattr(progress, "err", lambda: console)
    return console


def text(console: Console) -> str:
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the views see, in seconds."""
    now = [1000.0]
    monkeypatch.setattr("marketfetch.cli.progress.time.monotonic", lambda: now[0])
    return now


def waiting(*, eta_seconds: int, stored: int = 2) -> JobStatus:
    """A job of ten requests under a limit of five a minute."""
    whole = status(stored=stored, parked=10 - stored)
    return whole.model_copy(update={"eta_seconds": eta_seconds, "rate_per_minute": 5.0, "next_call": WAITS})


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> list[JobStatus | Exception]:
    """What `status` says, one after the other; the last one again and again."""
    said: list[JobStatus | Exception] = []

    def next_status(_: str) -> JobStatus:
        one = said.pop(0) if len(said) > 1 else said[0]
        if isinstance(one, Exception):
            raise one
        return one

    monkeypatch.setattr("marketfetch.status", next_status, raising=False)
    return said


def test_a_terminal_shows_a_bar_that_fills_and_every_obstacle_once(terminal: Console, script: list[Any]) -> None:
    rests = tuple(f"The key rests for {seconds} s more." for seconds in (57, 56, 55))
    script += [
        status(parked=3),
        UnavailableError("The database is away."),
        *(status(parked=2, stored=1, trouble=(one,)) for one in rests),
        status("failed", stored=2, failed=1),
    ]
    sentences = iter([["worker-1 ended; starting it again"], [], [], [], [], []])
    states = follow({"j": "polygon"}, tend=lambda: next(sentences))
    assert states["j"].state == "failed"
    shown = text(terminal)
    assert "3/3 requests" in shown
    assert "1,234 rows" in shown
    assert "5 rejects" in shown
    assert "1 failed" in shown
    assert shown.count("The key rests for") == 1
    assert shown.count("The database is away.") == 1
    assert shown.count("worker-1 ended") == 1


def test_a_log_gets_a_line_a_job_and_its_end(script: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    script += [status(parked=2, trouble=("No worker runs.",)), status(parked=1, stored=1), status("done", stored=2)]
    follow({"j": "polygon"})
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "polygon: 0 of 2 requests, 1,234 rows, 5 rejects, 2 waiting",
        "No worker runs.",
        "polygon: 2 of 2 requests, 1,234 rows, 5 rejects",
    ]


def test_a_sentence_is_not_repeated_at_once(terminal: Console, capsys: pytest.CaptureFixture[str]) -> None:
    for view in (Bars(terminal, {"j": "polygon"}), Lines({"j": "polygon"})):
        for sentence in ("one", "one", "two"):
            view.say(sentence)
    assert text(terminal).split() == ["one", "two"]
    assert capsys.readouterr().err.split() == ["one", "two"]


WAITS = NextCall(seconds=37, key="main", limit="5/minute")


def test_a_countdown_and_the_time_left_move_between_two_looks(terminal: Console, clock: list[float]) -> None:
    view = Bars(terminal, {"j": "polygon"})
    view.update("j", waiting(eta_seconds=97))
    line, call = str(view._picture()).split("\n")
    assert "2/10 requests" in line
    assert "97 s left" not in line
    assert "2 min left" in line
    assert "5/min" in line
    assert call == "polygon: next call in 37 s (limit 5/minute of key main)"
    clock[0] += 30
    line, call = str(view._picture()).split("\n")
    assert "67 s left" in line
    assert "next call in 7 s" in call
    clock[0] += 8
    assert "next call now" in str(view._picture())


def test_a_new_estimate_moves_the_time_left_and_does_not_jump(terminal: Console, clock: list[float]) -> None:
    view = Bars(terminal, {"j": "polygon"})
    left = []
    for eta in (1000, 2000, 2000, 2000, *[2000] * 16):
        view.update("j", waiting(eta_seconds=eta))
        left.append(view._ends["j"].left or 0)
        clock[0] += 0.25
    assert max(b - a for a, b in itertools.pairwise(left)) < 260
    assert left[-1] == pytest.approx(2000, rel=0.01)


@pytest.mark.parametrize("width", [20, 40, 80])
def test_no_line_is_wider_than_the_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width)
    view = Bars(console, {"0123456789abcdef": "0123456789abcdef"})
    view.update("0123456789abcdef", waiting(eta_seconds=123_456))
    lines = str(view._picture()).split("\n")
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("0123456789abcdef")


def test_a_log_gets_a_line_a_minute_at_most_and_only_when_something_changed(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    view = Lines({"j": "polygon"})
    for n in range(240):  # a minute, looked at four times a second
        view.update("j", waiting(eta_seconds=300 - n // 4, stored=n // 24))
        clock[0] += 0.25
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].endswith("5/min, about 5 min left; next call in 37 s (limit 5/minute of key main)")
    view.update("j", waiting(eta_seconds=200, stored=9))
    assert len(capsys.readouterr().err.splitlines()) == 1
    for _ in range(10):
        clock[0] += 60
        view.update("j", waiting(eta_seconds=100, stored=9))
    assert capsys.readouterr().err == "", "only the time has passed"


def test_what_is_no_terminal_for_a_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch, script: list[Any], capsys: Any) -> None:
    dumb = Console(file=io.StringIO(), force_terminal=True, width=80)
    monkeypatch.setattr(type(dumb), "is_dumb_terminal", True)
    monkeypatch.setattr(progress, "err", lambda: dumb)
    script += [status("done", stored=1)]
    follow({"j": "polygon"})
    assert capsys.readouterr().err == "polygon: 1 of 1 request, 1,234 rows, 5 rejects\n"


def test_ctrl_c_ends_the_watching_and_says_that_the_job_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: Console
) -> None:
    monkeypatch.setattr("marketfetch.status", lambda _: os.kill(os.getpid(), signal.SIGTERM), raising=False)
    with pytest.raises(KeyboardInterrupt):
        watched({"0123456789abcdef": "polygon"})
    assert capsys.readouterr().err == ("\nThe job goes on without you. Watch again: marketfetch watch 0123456789abcdef\n")
    assert text(terminal).endswith(f"{ESC}?25h"), "the cursor is back"


def test_a_table_is_coloured_on_a_terminal_and_shows_markup_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setattr("rich.console.Console", lambda **how: Console(file=file, force_terminal=True, width=60, **how))
    screen.table([("ok", "settings", "[red]as written[/red]"), ("error", "redis")], styles={"ok": "green", "error": "red"})
    assert f"{ESC}32mok" in file.getvalue()
    assert "[red]as written[/red]" in file.getvalue()


def test_a_pipe_gets_one_plain_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    screen.table([("ok", "settings", "valid"), ("error", "redis")], styles={"ok": "green"})
    assert capsys.readouterr().out.splitlines() == ["ok     settings  valid", "error  redis"]


@pytest.mark.parametrize(
    ("typed", "found", "shown"),
    [
        ("/usr/bin/marketfetch", "/usr/bin/marketfetch", "marketfetch"),
        ("/somewhere/python", None, "marketfetch"),
        (".venv/bin/marketfetch", None, ".venv/bin/marketfetch"),
        ("/opt/marketfetch", "/usr/bin/marketfetch", "/opt/marketfetch"),
    ],
)
def test_the_command_to_type_again_is_the_one_that_was_typed(
    monkeypatch: pytest.MonkeyPatch, typed: str, found: str | None, shown: str
) -> None:
    monkeypatch.setattr(sys, "argv", [typed])
    monkeypatch.setattr("shutil.which", lambda _: found)
    monkeypatch.chdir(Path.cwd())
    assert screen.command() == shown


def key(label: str, *uses: LimitUse, **more: Any) -> KeyLine:
    state: dict[str, Any] = {"open_calls": 1, "paused_ms": 0, "paused_why": "", "aside_why": "", "opens_ms": 0}
    return KeyLine("polygon", KeyReport(label, uses, **state | more), parked=7)


@pytest.fixture
def shell() -> CliRunner:
    return CliRunner()


def test_the_keys_state_is_said_in_words(monkeypatch: pytest.MonkeyPatch, shell: CliRunner) -> None:
    minute = LimitUse("5/minute", 5, 5, resets_ms=12_000)
    found = [
        key("busy", minute, LimitUse("25/day@UTC", 20, 25, resets_ms=0)),
        key("free"),
        key("open", LimitUse("1/second", 1, 1, resets_ms=-1)),
        key("resting", minute, paused_ms=300_000, paused_why="429"),
        key("refused", aside_why="unknown key"),
        key("blamed", suspected_why="rejected", unknown_sentences=3, last_sentence="the wind"),
    ]
    monkeypatch.setattr(key_status, "lines", lambda: found)
    monkeypatch.setattr(key_status, "unserved", dict)
    done = shell.invoke(marketfetch, ["quotas"])
    cells = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in done.stdout.splitlines()]
    assert ["polygon", "busy", "5/minute", "5/5", "in 12.0 s", "1", "7"] in cells
    assert ["25/day@UTC", "20/25", "now"] in cells
    assert ["polygon", "free", "no limits", "now", "1", "7"] in cells
    assert ["polygon", "open", "1/second", "1/1", "when an open call ends", "1", "7"] in cells
    assert ["polygon", "resting", "5/minute", "5/5", "in 5 min", "1", "7"] in cells
    assert ["polygon", "refused", "no limits", "set aside", "1", "7"] in cells
    assert (
        "polygon refused is set aside: unknown key. Correct the key, or try it again with `marketfetch quotas resume refused"
        in done.stderr
    )
    assert "polygon blamed is suspected and makes one call at a time, which decides: rejected" in done.stderr
    assert "polygon blamed: a sentence we do not know (3 so far), please report it. The last one: the wind" in done.stderr
    assert "polygon resting rests for 5 min more: 429" in done.stderr
    monkeypatch.setattr(key_status, "lines", list)
    assert "No API key is configured" in shell.invoke(marketfetch, ["quotas"]).stderr


def test_health_names_what_waits_and_what_is_not_started(monkeypatch: pytest.MonkeyPatch, shell: CliRunner) -> None:
    found = [Health("polygon", ok=True, stuck_ms=0, waiting=0)]
    monkeypatch.setattr(key_status, "health", lambda: found)
    monkeypatch.setattr(key_status, "unserved", dict)
    fine = shell.invoke(marketfetch, ["quotas", "health"])
    assert (fine.exit_code, fine.stdout) == (0, "polygon: fine\n")
    found += [
        Health("nasdaq", ok=False, stuck_ms=70_000, waiting=3),
        Health("alpha_vantage", ok=False, stuck_ms=0, waiting=1, unstarted=2),
    ]
    ill = shell.invoke(marketfetch, ["quotas", "health"])
    assert ill.exit_code == 1
    assert "nasdaq: 3 wait that may run, a key is open, and nothing was admitted for 70 s" in ill.stdout
    assert "alpha_vantage: 2 were granted 5 times in a row, and no worker has started them" in ill.stdout
    assert shell.invoke(marketfetch, ["quotas", "health", "--json"]).exit_code == 1
