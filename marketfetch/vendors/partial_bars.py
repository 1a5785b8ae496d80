"""Marks the bars of a reply that were not final when it was called for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from marketfetch.schemas.bars import BarSeries
from marketfetch.schemas.cross_section import CrossSection
from marketfetch.vendors.finality import Finality, first_partial_ms
from marketfetch.vendors.times import zone_info


def marked(series: Sequence[BarSeries], finality: Finality, *, zone: str, called_at_ms: int) -> Sequence[BarSeries]:
    """The series with the zone of their days, `zone` where they name none, and with their partial bars marked."""
    if isinstance(series, CrossSection):
        first_ms = first_partial_ms(finality, series.timespan, called_at_ms)
        return series.with_bars(series.bars.marked_partial(first_ms=first_ms), zone=zone_info(series.zone or zone).key)
    return tuple(
        replace(
            one,
            bars=one.bars.marked_partial(first_ms=first_partial_ms(finality, one.timespan, called_at_ms)),
            zone=zone_info(one.zone or zone).key,
        )
        for one in series
    )
