"""The pytest plug-in: one fixture. pytest imports this module in every run, so it imports nothing but pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from marketfetch.testing import InProcessSandbox


@pytest.fixture
def marketfetch_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcessSandbox]:
    """marketfetch without network, Redis or workers: simulated vendors, and an empty database in a temporary folder."""
    from marketfetch.testing import in_process_sandbox

    with in_process_sandbox(tmp_path_factory.mktemp("marketfetch")) as sandbox:
        yield sandbox
