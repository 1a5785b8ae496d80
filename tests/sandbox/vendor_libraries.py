"""The vendors' own Python clients, imported when a test uses one: every process of the run would load pandas with them."""

from __future__ import annotations

import importlib
from typing import Any

_WHERE = {
    "AlphaVantage": "alpha_vantage.alphavantage",
    "BadResponse": "massive.exceptions",
    "ForeignExchange": "alpha_vantage.foreignexchange",
    "RESTClient": "massive",
    "TimeSeries": "alpha_vantage.timeseries",
}


def __getattr__(name: str) -> Any:
    if name == "nasdaqdatalink":
        return importlib.import_module(name)
    if name not in _WHERE:
        raise AttributeError(name)
    return getattr(importlib.import_module(_WHERE[name]), name)
