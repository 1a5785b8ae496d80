"""A vendor's account behind a key: its rights and its limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Vendor = Literal["alpha_vantage", "polygon", "nasdaq"]
VENDORS: Final[tuple[Vendor, ...]] = ("alpha_vantage", "polygon", "nasdaq")


@dataclass(frozen=True, slots=True)
class Account:
    """`limits` such as "5/minute", "300/10seconds", "25/day@America/New_York"; `concurrency` None is unlimited.

    `enforce` False lets calls over a limit through; they are judged all the same. `years` is how far back a Polygon plan
    reaches (None: all). `delayed` marks a Polygon plan without real time. `premium` are the Alpha Vantage functions, or
    "outputsize=full", that this key is refused.
    """

    limits: tuple[str, ...] = ()
    concurrency: int | None = None
    enforce: bool = True
    years: int | None = None
    delayed: bool = False
    premium: tuple[str, ...] = ()
    refused: bool = False


@dataclass(slots=True)
class Accounts:
    """Every key is accepted on sight, except those that begin with "refused" and those named so. Key "*" is the default."""

    known: dict[tuple[str, str], Account] = field(default_factory=dict)

    def of(self, vendor: str, key: str) -> Account:
        """The account of a key; the vendor's "*" where the key has none of its own."""
        account = self.known.get((vendor, key)) or self.known.get((vendor, "*")) or _PLAIN
        return _REFUSED if key.startswith("refused") else account

    def put(self, vendor: str, key: str, wish: dict[str, Any]) -> Account:
        """Sets a key's account from JSON; names and types are checked, a wrong one is a ValueError."""
        if vendor not in VENDORS:
            raise ValueError(f"unknown provider {vendor!r}: one of {', '.join(VENDORS)}")
        known = Account.__dataclass_fields__
        if strange := sorted(set(wish) - set(known)):
            raise ValueError(f"unknown setting {strange[0]!r} of a key: one of {', '.join(known)}")
        wish = {name: tuple(value) if isinstance(value, list) else value for name, value in wish.items()}
        for name, value in wish.items():
            if not isinstance(value, _TYPES[name]) or (isinstance(value, bool) and bool not in _TYPES[name]):
                raise ValueError(f"{name} of a key can't be {value!r}: see marketfetch/sandbox/accounts.py")
        account = Account(**wish)
        self.known[vendor, key] = account
        return account


_NUMBER: Final = (int, type(None))
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "limits": (tuple,),
    "concurrency": _NUMBER,
    "enforce": (bool,),
    "years": _NUMBER,
    "delayed": (bool,),
    "premium": (tuple,),
    "refused": (bool,),
}


_PLAIN: Final = Account()
_REFUSED: Final = Account(refused=True)
