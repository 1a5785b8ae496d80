"""What is doubtful about adjusted prices, as sentences beside a command's result instead of Python's warnings."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from marketfetch.cli.screen import hint
from marketfetch.exceptions import AdjustmentWarning


@contextmanager
def said() -> Iterator[None]:
    """Prints each AdjustmentWarning of the block once, at its end. Other warnings stay what they are."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AdjustmentWarning)
        yield
    for one in caught:
        if issubclass(one.category, AdjustmentWarning):
            hint(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
