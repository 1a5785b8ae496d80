"""The symbols that every loader asks for: forms that the vendor knows, since our readers refuse any other before a call."""

from __future__ import annotations

from itertools import islice, product
from string import ascii_uppercase


def names(count: int) -> list[str]:
    """So many stocks of the sandbox's market."""
    return ["".join(letters) for letters in islice(product(ascii_uppercase, repeat=3), count)]
