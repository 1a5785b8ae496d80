"""The image is built in layers: dependencies before any source file, and nothing of a checkout that it does not need."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TEXT = re.sub(r"\\\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"))
#: Per stage its instructions, in order.
STAGES = {
    found[1] or "image": [line.split(maxsplit=1) for line in body.splitlines() if re.match(r"[A-Z]+ ", line)]
    for found, body in (
        (re.match(r".*?(?: AS (\w+))?\n", part) or re.match("", part), part.partition("\n")[2])
        for part in re.split(r"^FROM ", TEXT, flags=re.MULTILINE)[1:]
    )
    if found
}
SOURCES = ("marketfetch", "providers", "tasks")


def copied(stage: str) -> list[str]:
    """What a stage copies from the checkout."""
    words = [text.split() for word, text in STAGES[stage] if word == "COPY" and not text.startswith("--from")]
    return [source for one in words for source in one[:-1]]


def test_dependencies_are_installed_in_a_layer_that_no_source_file_can_change():
    assert list(STAGES) == ["requirements", "dependencies", "wheel", "image"]
    assert copied("dependencies") == ["constraints.txt"]
    assert copied("requirements") == ["docker/dependencies.py", "pyproject.toml"]
    assert set(SOURCES) < set(copied("wheel"))
    assert copied("image") == [], "the image has the environment and no checkout"
    layers = [text for word, text in STAGES["image"] if word in ("COPY", "RUN")]
    assert layers[0] == "--from=dependencies /opt/marketfetch /opt/marketfetch"
    assert "--mount=type=bind,from=wheel" in layers[1]
    assert "--no-index --no-deps" in layers[1], "the last layer is marketfetch alone"
    assert [text for word, text in STAGES["image"] if word == "USER"] == ["marketfetch"]


def test_the_list_of_dependencies_is_that_of_the_package_and_of_what_the_image_runs():
    done = subprocess.run(
        [sys.executable, "docker/dependencies.py", "pyproject.toml"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = {Requirement(line) for line in done.stdout.splitlines()}
    needed = set()
    for text in requires("marketfetch") or ():
        one = Requirement(text)
        extras = ("", "worker", "postgres", "flower", "serve", "encryption")
        if one.name != "marketfetch" and (one.marker is None or any(one.marker.evaluate({"extra": name}) for name in extras)):
            one.marker = None
            needed.add(one)
    assert listed == needed


def test_the_build_context_is_what_the_dockerfile_copies_and_nothing_else():
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert first == "*"
    allowed = {line.removeprefix("!") for line in rest if line.startswith("!")}
    assert allowed == {source for stage in STAGES for source in copied(stage)}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "chaos"}
    assert packages == set(SOURCES)


def test_every_base_image_can_be_pinned_by_its_digest():
    assert re.findall(r"^FROM (\S+)", TEXT, flags=re.MULTILINE) == ["${PYTHON_IMAGE}"] * 4
    compose = (ROOT / "docker-compose.yml").read_text()
    page = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
    for name, image in re.findall(r"\$\{(\w+_IMAGE):-([^}]+)\}", compose):
        assert name == "MARKETFETCH_IMAGE" or f"{name}={image}" in page
