"""Which files and folders another user of the machine could reach."""

from __future__ import annotations

import stat
from pathlib import Path


def open_to_others(folder: Path) -> dict[str, str]:
    """Those that another user can read or write, with their modes; the folder itself is looked at too."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}
    return {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077}
