"""The drawing of the packages in docs/architecture.md, made from their imports. `python -m tests.house.drawing` writes it."""

from __future__ import annotations

import re
from functools import cache

from tests.house.imports import ROOT, Edges, graph

PAGE = ROOT / "docs" / "architecture.md"
BEGIN, END = "<!-- drawing: begin -->", "<!-- drawing: end -->"


def packages() -> Edges:
    """Package -> packages that it imports, lazily or not. Modules beside the packages of `marketfetch` stand for themselves."""
    found = graph()
    edges: Edges = {}
    for imports in (found.eager, found.lazy):
        for module, others in imports.items():
            edges.setdefault(_package(module), set()).update(_package(one) for one in others)
    return {one: others - {one} for one, others in edges.items()}


def drawing() -> str:
    """A line per package: its name, and the packages that it imports. Every package stands above all that it imports."""
    edges = packages()

    @cache
    def depth(one: str) -> int:
        return 1 + max((depth(other) for other in edges[one]), default=0)

    names = sorted(edges, key=lambda one: (-depth(one), one))
    width = max(map(len, names))
    lines = [f"{one:<{width}}  ->  {', '.join(sorted(edges[one], key=names.index))}".removesuffix("  ->  ") for one in names]
    return "\n".join(line.rstrip() for line in lines)


def with_drawing(text: str) -> str:
    """The page with the drawing of today between its two markers."""
    block = f"{BEGIN}\n```\n{drawing()}\n```\n{END}"
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: block, text, flags=re.DOTALL)


def _package(module: str) -> str:
    parts = module.split(".")
    if parts[0] != "marketfetch":
        return ".".join(parts[:2]) if parts[0] == "providers" else parts[0]
    name = parts[1] if len(parts) > 1 else "marketfetch"
    return "cli" if name == "__main__" else name


if __name__ == "__main__":
    PAGE.write_text(with_drawing(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
