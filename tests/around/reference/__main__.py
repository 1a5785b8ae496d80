"""`python -m tests.around.reference FOLDER`: writes the pages into a folder."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.around.reference import (
    command_entries,
    environment_entries,
    python_entries,
    setting_entries,
    table_entries,
    task_entries,
)

PAGES = {
    "python.md": python_entries.page,
    "settings.md": setting_entries.page,
    "environment.md": environment_entries.page,
    "commands.md": command_entries.page,
    "tasks.md": task_entries.page,
    "tables.md": table_entries.page,
}


def write(folder: Path) -> None:
    """Makes each page anew."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
