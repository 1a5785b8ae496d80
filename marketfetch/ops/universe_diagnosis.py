"""What `marketfetch check` says about the universes of the settings: a symbol that is left out, or a whole list."""

from __future__ import annotations

from collections.abc import Iterator

from marketfetch.exceptions import BadRequestError, UnavailableError
from marketfetch.ops.finding import Finding
from marketfetch.ops.universes import AT, resolved
from marketfetch.settings import get_settings, origin


def of_universes() -> Iterator[Finding]:
    """Reads every universe, as a job would: its file, or the stored list of a vendor. Says nothing of those that are well."""
    for name in get_settings().universes:
        try:
            notes = resolved([f"{AT}{name}"]).notes
        except BadRequestError as error:
            notes = (str(error),)
        except UnavailableError:
            continue  # the check of the database says why
        for note in notes:
            sentence = f"{note} ({origin('universes', name)})"
            yield Finding(level="warning", subject="universes", sentence=sentence)
