"""A fingerprint of bars that Postgres and numpy make alike, so that equal bars are known as equal without being sent.

Per row a chain through Postgres's own 64-bit hash of a float8, from `ts` and `partial` over every value; over rows their xor.
Reading 50,000 bars back takes 32 ms, their fingerprint 15 and ours 5. Two different sets of bars look alike once in
2^64; should a server hash otherwise, they only look different, and the bars themselves are compared.

https://github.com/postgres/postgres/blob/REL_18_STABLE/src/common/hashfn.c (hash_bytes_extended),
https://github.com/postgres/postgres/blob/REL_18_STABLE/src/backend/access/hash/hashfunc.c (hashfloat8extended)
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from marketfetch.schemas.bars import FLOAT_COLUMNS, BarColumns, Floats

_Words = NDArray[np.uint32]
_Hashes = NDArray[np.uint64]

#: What the hash of eight bytes begins with.
_BEGIN: Final = np.uint32((0x9E3779B9 + 8 + 3_923_095) & 0xFFFFFFFF)


def _sql() -> str:
    chain = "hashfloat8extended(date_part('epoch', ts), CASE WHEN partial THEN 2 ELSE 1 END::bigint)"
    for place, name in enumerate(FLOAT_COLUMNS):
        # A zero's hash is the seed itself. Another seed for each column keeps (0, 5) from looking like (5, 0).
        chain = f"hashfloat8extended(coalesce({name}, 'NaN'), {chain} # {_salt(place)})"
    return f"bit_xor({chain})"


def _salt(place: int) -> int:
    return (place + 1) * 0x0123456789ABCDE


#: The fingerprint of rows of `bar_rows`, a bigint; NULL for no rows. Postgres 14 or newer.
SQL: Final = _sql()


def fingerprint(bars: BarColumns) -> int:
    """What `SQL` says of the same bars."""
    # As date_part does: microseconds divided once, so that both round alike.
    moments = (bars.ts * 1000) / 1e6
    seeds = np.where(bars.partial, np.uint64(2), np.uint64(1))
    seeds = _hash_of_float8(moments, seeds)
    for place, name in enumerate(FLOAT_COLUMNS):
        seeds ^= np.uint64(_salt(place))
        seeds = _hash_of_float8(getattr(bars, name), seeds)
    return int(np.bitwise_xor.reduce(seeds).astype(np.int64))


def _hash_of_float8(values: Floats, seeds: _Hashes) -> _Hashes:
    """hashfloat8extended of each value with its seed, which is not 0. The vendor's NaN and ours are one."""
    low, high = _halves(np.where(np.isnan(values), np.nan, values))
    seed_low, seed_high = _halves(seeds)
    a, b, c = _BEGIN + seed_high, _BEGIN + seed_low, np.full(len(values), _BEGIN)
    turned, rest = np.empty_like(c), np.empty_like(c)

    def turn(word: _Words, bits: int) -> _Words:
        np.left_shift(word, bits, out=turned)
        np.right_shift(word, 32 - bits, out=rest)
        return np.bitwise_or(turned, rest, out=turned)

    for x, y, z, bits in ((a, b, c, 4), (b, c, a, 6), (c, a, b, 8), (a, b, c, 16), (b, c, a, 19), (c, a, b, 4)):
        x -= z
        x ^= turn(z, bits)
        z += y
    a += low
    b += high
    for x, y, bits in ((c, b, 14), (a, c, 11), (b, a, 25), (c, b, 16), (a, c, 4), (b, a, 14), (c, b, 24)):
        x ^= y
        x -= turn(y, bits)
    hashed = np.empty((len(values), 2), dtype="<u4")
    hashed[:, 0], hashed[:, 1] = c, b
    return np.where(values == 0, seeds, hashed.view("<u8").reshape(-1))


def _halves(words: NDArray[Any]) -> tuple[_Words, _Words]:
    """The lower and the upper 32 bits of each."""
    halves = words.astype(words.dtype.newbyteorder("<"), copy=False).view("<u4").reshape(-1, 2)
    return halves[:, 0], halves[:, 1]
