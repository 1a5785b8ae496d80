"""The wheel, built as a release is, and an environment that has it: the first process that needs one makes it for all."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from marketfetch.settings import environment

ROOT = Path(__file__).parents[1]
#: What a build reads: copied, so that no `build/` of an earlier one is packed, and none is left in the checkout.
SOURCES = ("marketfetch", "providers", "tasks", "pyproject.toml", "README.md", "LICENSE", "marketfetch.toml.example")


@dataclass(frozen=True)
class Installed:
    """`wheel`: the file. `python`: the interpreter of the environment. `site`: where it was unpacked."""

    wheel: Path
    python: Path
    site: Path

    @property
    def bin(self) -> Path:
        return self.python.parent


@pytest.fixture(scope="session")
def wheel(request, tmp_path_factory) -> Path:
    (found,) = once(request, tmp_path_factory, "wheel", build).glob("dist/*.whl")
    return found


@pytest.fixture(scope="session")
def installed(request, wheel, tmp_path_factory) -> Installed:
    """Only the wheel is installed; what it depends on comes from the environment of the tests, without its editable install.

    All processes of the run use this one environment, so a test changes nothing in it.
    """
    folder = once(request, tmp_path_factory, "environment", lambda made: install(made, wheel))
    return Installed(wheel, folder / "bin" / "python", site_of(folder))


def once(request: pytest.FixtureRequest, factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that all processes of a run with `-n` share. The others wait while one of them makes it."""
    base = factory.getbasetemp()
    folder = (base.parent if hasattr(request.config, "workerinput") else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = folder / "made"
        if not made.exists():
            folder.mkdir()
            make(folder)
            made.touch()
    return folder


def build(folder: Path) -> None:
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder))


def install(folder: Path, *wheels: Path) -> None:
    """Makes an environment with these wheels. Its dependencies are those of this run, after its own on the path."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=300)
    (site_of(folder) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", str(folder / "bin" / "python"), "install", "--no-deps", "--no-index", *map(str, wheels))


def site_of(folder: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    # With the checkout on PYTHONPATH pip would find marketfetch installed already.
    plain = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
