"""The public functions under their earlier name, in a checkout: `from tasks.jobs import submit`."""

from marketfetch import *  # noqa: F403

__all__ = [name for name in globals() if not name.startswith("_")]
