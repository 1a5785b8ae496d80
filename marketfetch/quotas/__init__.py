"""Rate limits: the gate decides whether a vendor may be called now. One gate per pool, in Redis, on Redis's clock."""

from marketfetch.quotas.gate import Gate
from marketfetch.quotas.limits import KeyLimits, LimitError, key_limits
from marketfetch.quotas.values import Admission, Counts, Grant, Parking, Start

__all__ = ["Admission", "Counts", "Gate", "Grant", "KeyLimits", "LimitError", "Parking", "Start", "key_limits"]
