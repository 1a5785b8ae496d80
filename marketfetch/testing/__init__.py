"""For the tests of apps that use marketfetch: simulated vendors, workers and storage in the process of the test.

With pytest: the fixture `marketfetch_sandbox`. Elsewhere: `with marketfetch.testing.in_process_sandbox(folder) as sandbox`.
docs/testing.md shows both. Needs `pip install 'marketfetch[testing]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["InProcessSandbox", "SimulatedCall", "in_process_sandbox"]

if TYPE_CHECKING:
    from marketfetch.testing.sandbox_in_process import InProcessSandbox as InProcessSandbox
    from marketfetch.testing.sandbox_in_process import in_process_sandbox as in_process_sandbox
    from marketfetch.testing.simulated_vendors import SimulatedCall as SimulatedCall
else:

    def __getattr__(name: str) -> object:
        """Loaded at first use: pytest imports this package in every project, also in those that never use it."""
        if name not in __all__:
            raise AttributeError(f"module 'marketfetch.testing' has no attribute {name!r}")
        import importlib

        module = "simulated_vendors" if name == "SimulatedCall" else "sandbox_in_process"
        return getattr(importlib.import_module(f"marketfetch.testing.{module}"), name)
