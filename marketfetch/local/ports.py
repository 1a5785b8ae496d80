"""The ports of this machine that `marketfetch up` takes by default."""

from __future__ import annotations

import socket
from typing import Final

#: The port of `marketfetch up --flower`.
FLOWER: Final = 5555


def is_free(port: int) -> bool:
    """True if a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as wire:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            wire.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
