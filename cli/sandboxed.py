"""How the commands of a folder are pointed at the vendor sandbox that one of them started.

While `up --sandbox` runs, `fetch` and `status` of the same folder ask its three vendors, whatever keys are configured: who
starts a sandbox does not want to spend quota.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cli.locks import is_held
from settings import PREFIX, environment, get_settings, override

NOTE: Final = "sandbox.json"
LOCK: Final = "up.lock"


def variables(base_urls: Mapping[str, str], *, label: str) -> dict[str, str]:
    """The environment that points all three vendors at a sandbox: base URL, a key called `label`, and no limits."""
    found = {}
    for vendor, url in base_urls.items():
        prefix = f"{PREFIX}PROVIDERS__{vendor.upper()}__"
        found[f"{prefix}BASE_URL"] = url
        found[f"{prefix}API_KEYS"] = json.dumps([f"{label}:{label}-key-of-{vendor}"])
        found[f"{prefix}LIMITS"] = "[]"
    return found


def note(folder: Path, found: Mapping[str, str]) -> None:
    """Leaves `found` for the other commands of this folder, for as long as `up` holds its lock."""
    (folder / NOTE).write_text(json.dumps(dict(found)))


@contextlib.contextmanager
def followed_sandbox() -> Iterator[None]:
    """For the time of the block, settings point at the sandbox that `up --sandbox` runs in this folder, if it does."""
    folder = get_settings().state_dir
    path = folder / NOTE
    if not path.is_file() or not is_held(folder / LOCK):
        yield
        return
    ours = {name: value for name, value in environment().items() if name.startswith(PREFIX)}
    with override({**ours, **json.loads(path.read_text())}):
        yield
