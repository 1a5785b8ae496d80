"""The import graph of the tree, read from the sources: imports at the load of a module, and imports inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: The folders whose modules make up the graph.
TREES = ("marketfetch", "providers", "tasks")

Edges = dict[str, set[str]]


@dataclass(frozen=True, slots=True)
class Graph:
    """`eager`: module -> modules that it imports when it loads. `lazy`: module -> modules that its functions import."""

    eager: Edges = field(default_factory=dict)
    lazy: Edges = field(default_factory=dict)


def graph(root: Path = ROOT, trees: tuple[str, ...] = TREES) -> Graph:
    """The graph of every module under these folders. Imports for type checkers alone do not count."""
    files = {_name(path, root): path for tree in trees for path in (root / tree).rglob("*.py")}
    found = Graph({name: set() for name in files}, {name: set() for name in files})
    for name, path in files.items():
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node, lazy in _imports(ast.parse(path.read_text(encoding="utf-8"))):
            for target in _targets(node, package, files):
                if target != name:
                    (found.lazy if lazy else found.eager)[name].add(target)
    return found


def circles(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Every group of modules that reach one another, sorted; empty when there is no circle (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(one: str) -> None:
        index[one] = low[one] = len(index)
        stack.append(one)
        for other in sorted(edges.get(one, ())):
            if other not in index:
                visit(other)
                low[one] = min(low[one], low[other])
            elif other in stack:
                low[one] = min(low[one], index[other])
        if low[one] == index[one]:
            at = stack.index(one)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1:
                found.append(group)

    for one in sorted(edges):
        if one not in index:
            visit(one)
    return sorted(found)


def reaches(edges: Mapping[str, set[str]], start: str, end: str) -> bool:
    """True if `end` is imported by `start`, directly or through others."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        one = todo.pop()
        if one == end:
            return True
        if one not in seen:
            seen.add(one)
            todo += edges.get(one, ())
    return False


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Every import with whether a function makes it."""
    todo: list[tuple[ast.AST, bool]] = [(tree, False)]
    while todo:
        node, lazy = todo.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, lazy
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        todo += [(child, lazy) for child in ast.iter_child_nodes(node)]


def _targets(node: ast.Import | ast.ImportFrom, package: str, modules: Mapping[str, Path]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in modules)
        return
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    for alias in node.names:
        if f"{base}.{alias.name}" in modules:
            yield f"{base}.{alias.name}"
        elif base in modules:
            yield base
