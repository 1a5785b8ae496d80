"""docs/tutorial.md, followed by a reader who does just what it says, in an empty folder."""

from __future__ import annotations

import re
import shlex
import subprocess

from tests.cli.conftest import ROOT, Shell, Started
from tests.preloaded import preloaded
from tests.waiting import LONG_S

TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
#: What a reader types and sees, and the programs, in their order. Blocks of `sh` need another machine, or a network.
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```$", TUTORIAL, flags=re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[tuple[str, list[str]]]:
    """Each command of a block, and the lines that it is to print."""
    parts = [part.splitlines() for part in re.split(r"^\$ ", block, flags=re.MULTILINE) if part]
    return [(lines[0], lines[1:]) for lines in parts]


def lacking(shown: list[str], text: str) -> list[str]:
    """The lines of the page that were not printed, in their order. `…` stands for anything."""
    printed = iter([" ".join(line.split()) for line in text.replace("\r", "\n").splitlines()])
    patterns = [re.escape(" ".join(line.split())).replace("…", ".*") for line in shown]
    return [
        line for line, pattern in zip(shown, patterns, strict=True) if not any(re.fullmatch(pattern, one) for one in printed)
    ]


def run_python(shell: Shell, code: str) -> subprocess.CompletedProcess[str]:
    return preloaded().run("-c", code, cwd=shell.folder, env=shell.environment({}), timeout=LONG_S)


def begin(shell: Shell, words: list[str]) -> Started:
    """A command that goes on behind the `&`: `up`, with one process for calls, which is enough here."""
    started = shell.start(*words, "--concurrency", "1")
    started.until(lambda: "In another terminal" in started.text)
    return started


def test_the_tutorial_does_what_it_says_from_an_empty_folder_to_a_chart(shell):
    kinds = [kind for kind, _ in BLOCKS]
    (_, first), *rest = BLOCKS
    ((line, shown),) = commands(first)
    assert line.endswith(" &")
    up = begin(shell, shlex.split(line)[1:-1])
    try:
        assert lacking(shown, up.text) == []
        for kind, block in rest:
            if kind == "python":
                done = preloaded().run("-c", block, cwd=shell.folder, env=shell.environment({}), timeout=LONG_S)
                assert done.returncode == 0, done.stderr
                assert "│ AAPL   ┆ 146 │" in done.stdout
            for line, shown in commands(block) if kind == "console" else ():
                program, *words = shlex.split(line)
                assert program == "marketfetch"
                done = shell.run(*words)
                assert done.returncode == 0, done.stderr
                assert lacking(shown, done.stderr + done.stdout) == [], done.stderr + done.stdout
        assert (shell.folder / "chart.png").read_bytes().startswith(b"\x89PNG")
    finally:
        assert up.end() == 0
    assert (kinds.count("console"), kinds.count("python")) == (8, 1)


def test_a_line_that_is_not_printed_is_found():
    assert lacking(["a … c", "d"], "a b c\nd\n") == []
    assert lacking(["d", "a … c"], "a b c\nd\n") == ["a … c"]
    assert lacking(["a b"], "a b c\n") == ["a b"]
    assert commands("$ one\nx\n$ two 'a b'\n") == [("one", ["x"]), ("two 'a b'", [])]
