"""The wheel, built as a release is, and installed into an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(folder))
    (found,) = (folder / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="session")
def installed(wheel, tmp_path_factory) -> Installed:
    """Only the wheel is installed; what it depends on comes from the environment of the tests, without its editable install."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    return Installed(wheel, python, site)


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
