"""The ports of Flower and the web API. The others, of Valkey and the sandbox, are free ones that the system picks."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from marketfetch.cli.locks import owner_of, signature

if TYPE_CHECKING:
    from marketfetch.ops.finding import Finding


#: Flower's own.
FLOWER_PORT: Final = 5555
#: That of the web API.
WEB_PORT: Final = 8787


def flower_port() -> Finding:
    """Tries to listen where Flower would. A taken port is a warning: a viewer ends nothing."""
    from marketfetch.ops.finding import Finding

    refused = refusal(FLOWER_PORT)
    if not refused:
        return Finding(level="ok", subject="flower", sentence=f"Port {FLOWER_PORT} is free for `marketfetch up --flower`.")
    if _flower_runs():
        return Finding(level="ok", subject="flower", sentence=f"Port {FLOWER_PORT} is taken while Flower runs here.")
    sentence = (
        f"Flower can't take port {FLOWER_PORT} ({refused}). If you want it, name a free one: `marketfetch up --flower PORT`."
    )
    return Finding(level="warning", subject="flower", sentence=sentence)


def refusal(port: int) -> str:
    """Returns why Flower could not listen on this port of 127.0.0.1, "" if it could."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Flower does: an ended connection takes no port
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _flower_runs() -> bool:
    """Whether an `up` of this folder has a Flower, by the process that its lock file names. The lock itself stays untouched."""
    from marketfetch.addresses import state_dir
    from marketfetch.local import sandbox_note

    for folder in (state_dir(), sandbox_note.home(state_dir())):
        try:
            pid = owner_of((folder / "run" / "flower.pid").read_text(encoding="utf-8").strip())
        except OSError:
            continue
        if pid is not None and signature(pid):
            return True
    return False
