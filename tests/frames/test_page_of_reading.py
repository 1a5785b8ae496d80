"""docs/reading-back.md is executed: each command and each program of the page, in its order, prints what the page shows."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from marketfetch.cli.main import marketfetch as command
from tests.frames.conftest import DAY_MS, JANUARY_2, columns_of

PAGE = (Path(__file__).parents[2] / "docs" / "reading-back.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(console|python)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_example_of_the_page_runs_and_prints_what_it_shows(in_sqlite: Any) -> None:
    days = [JANUARY_2 + n * DAY_MS for n in range(180) if (n + 1) % 7 not in (5, 6)]
    for seed, symbol in enumerate(("AAPL", "MSFT")):
        in_sqlite(symbol, columns_of(days, seed=seed))
    printed = []
    for kind, text in BLOCKS:
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, "reading-back.md", "exec"), {})
            printed.append(out.getvalue())
            continue
        lines = [line for line in text.splitlines() if line.startswith("$ marketfetch ")]
        said = ""
        for line in lines:
            done = CliRunner().invoke(command, shlex.split(line.removeprefix("$ marketfetch ")))
            assert done.exit_code == 0, done.output
            said += f"{line}\n{done.stdout}"
        assert said == text
    assert [re.findall(r"shape: \((\d+), (\d+)\)", one) for one in printed] == [[("2", "4")], [("2", "2")], [("0", "9")]]
