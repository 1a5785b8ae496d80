"""The gate's Lua scripts: the files in marketfetch/quotas/lua, each loaded at its first use, with call.lua prepended."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from marketfetch.quotas import failpoints

if TYPE_CHECKING:
    from redis import Redis

#: A script of several files: its parts in order. They are one chunk of Lua, so a part sees what those before it define.
PARTS: Final = {"admit": ("admit", "admit_limits", "admit_grants")}


class Scripts:
    """One attribute per file. A call with `keys` and `args` is one round trip and atomic."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def text(self, name: str) -> str:
        """The script's source as it is sent to Redis. Raises FileNotFoundError."""
        lua = files("marketfetch.quotas") / "lua"
        return "\n".join((lua / f"{part}.lua").read_text(encoding="utf-8") for part in ("call", *PARTS.get(name, (name,))))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        try:
            text = self.text(name)
        except FileNotFoundError as error:
            raise AttributeError(f"there is no script {name!r}") from error
        registered = self._redis.register_script(text)
        script = failpoints.around(name, registered) if failpoints.armed else registered
        # Later lookups find the attribute, so this method runs once per script.
        setattr(self, name, script)
        return script
