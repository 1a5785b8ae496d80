"""The words that docs/decisions/0017-the-voice.md refuses, and the places where a file uses them.

`python -m tests.house.voice` prints every place; with `--shrink` it removes the needless entries of voice_allowed.txt.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.house.imports import ROOT

DECISION = ROOT / "docs" / "decisions" / "0017-the-voice.md"
ALLOWED = Path(__file__).with_name("voice_allowed.txt")
#: The folders whose comments, docstrings and sentences are checked.
CODE = ("marketfetch", "tasks", "providers", "chaos", "benchmarks")


@dataclass(frozen=True, slots=True, order=True)
class Use:
    """A refused word in a file: its path from the root of the tree, the line, the word in lower case."""

    path: str
    line: int
    word: str


def refused() -> list[str]:
    """The patterns of the first column of the decision's table; `*` stands for any ending."""
    table = DECISION.read_text(encoding="utf-8").partition("## The refused words")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row)]


def pattern(words: list[str]) -> re.Pattern[str]:
    """One expression for all of them, as whole words, in any case."""
    parts = [re.escape(word).replace(r"\*", r"\w*").replace(r"\ ", r"\s+") for word in words]
    return re.compile(rf"(?<![\w'-])(?:{'|'.join(parts)})(?![\w-])", re.IGNORECASE)


def uses(path: Path, words: re.Pattern[str]) -> Iterator[Use]:
    """Every use of a refused word in what people read of this file."""
    text = path.read_text(encoding="utf-8")
    of_kind = {".py": _python, ".lua": _lua, ".md": _page}[path.suffix]
    for line, sentence in of_kind(text):
        plain = re.sub(r"`[^`]*`", lambda name: " " * len(name[0]), sentence)
        for found in words.finditer(plain):
            word = " ".join(found[0].lower().split())
            yield Use(str(path.relative_to(ROOT)), line + plain[: found.start()].count("\n"), word)


def files() -> list[Path]:
    """Every file that the rule holds for. Decisions are records of their day; those after the rule follow it."""
    code = [path for folder in CODE for suffix in ("py", "lua") for path in (ROOT / folder).rglob(f"*.{suffix}")]
    pages = [path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "decisions" or path.name[:4] > "0017"]
    pages += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return sorted(path for path in [*code, *pages] if "__pycache__" not in path.parts)


def allowed() -> dict[str, set[str]]:
    """Path -> words that it may still use. A line is the path, a colon, the words with commas between."""
    lines = [line for line in ALLOWED.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    pairs = [line.split(": ", 1) for line in lines]
    return {path: {word.strip() for word in words.split(",")} for path, words in pairs}


def found() -> dict[str, set[str]]:
    """Path -> the refused words in it."""
    words = pattern(refused())
    all_of_them: dict[str, set[str]] = {}
    for path in files():
        for use in uses(path, words):
            all_of_them.setdefault(use.path, set()).add(use.word)
    return all_of_them


def _python(text: str) -> Iterator[tuple[int, str]]:
    """Comments, and string literals of several words; the literal parts of an f-string one by one."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\s", node.value.strip()):
            yield node.lineno, node.value


def _lua(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        code, _, comment = line.partition("--")
        yield number, comment
        yield from ((number, one) for one in re.findall(r"'([^']*\s[^']*)'", code))


def _page(text: str) -> Iterator[tuple[int, str]]:
    """Everything but blocks of code, in one piece, so that a phrase may be broken by the end of a line."""
    yield 1, re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.DOTALL | re.MULTILINE)


if __name__ == "__main__":
    if "--shrink" in sys.argv:
        today = found()
        comments = [line for line in ALLOWED.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
        kept = {path: words & today.get(path, set()) for path, words in allowed().items()}
        lines = [f"{path}: {', '.join(sorted(words))}" for path, words in sorted(kept.items()) if words]
        ALLOWED.write_text("\n".join([*comments, *lines]) + "\n", encoding="utf-8")
    else:
        listed = pattern(refused())
        for one in files():
            for use in uses(one, listed):
                print(f"{use.path}:{use.line}: {use.word}")
