"""Whose jobs `marketfetch fetch` submits and `marketfetch status --mine` lists."""

from __future__ import annotations

import os
import pwd


def owner() -> str:
    """The setting `owner`, else the system's name of this user: two people on one machine are two owners."""
    from marketfetch.settings import get_settings

    if configured := get_settings().owner:
        return configured
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user needs no name
        return f"uid {os.getuid()}"


def is_system_user() -> bool:
    """True where the owner is only the name of the system's user, who may have no API key of its own."""
    from marketfetch.settings import get_settings

    return not get_settings().owner
