"""What an operator can do about rejects of each reason. docs/rows.md has the checks, each with the real defect behind it."""

from __future__ import annotations

from typing import Final

_CONTRADICTS: Final = "two rows of one time differ"
_CHANGED_MEANWHILE: Final = "the row has not the"
#: By the beginning of the reason. The first line that fits is used.
_ADVICE: Final = (
    ("required field is missing", "the vendor left the field out: another vendor or a wider timespan may have it"),
    ("price is above", "no instrument trades at such a price: report it to the vendor"),
    ("price is not finite", "where such prices are right (settlements, rates, spreads), map the table's column as such a kind"),
    ("timestamp is outside", "the vendor sent other dates than were asked: fetch the range that it sent by itself"),
    (_CONTRADICTS, "the vendor contradicts itself: `marketfetch retry` once it has corrected the rows"),
    ("its week or month has several", "name the timespan that the table really has"),
    ("the time is in the evening", "the vendor gave no session for it: report it to the vendor"),
    (_CHANGED_MEANWHILE, "the vendor's table changed while it was read: fetch the range again"),
    ("not a date", "compare the reply with `marketfetch read`: the vendor may have changed its format"),
    ("not a number", "compare the reply with `marketfetch read`: the vendor may have changed its format"),
)
_OTHER: Final = "look at the rows of that day at another vendor, and report them to the vendor if they are wrong"
#: The reasons whose advice is a new call of the same range.
_ASK_AGAIN: Final = (_CONTRADICTS, _CHANGED_MEANWHILE)


def asks_again(reason: str) -> bool:
    """True if the advice for this reason is to ask for the rows again."""
    return reason.startswith(_ASK_AGAIN)


def advice(reason: str) -> str:
    """Returns the beginning of a sentence, without a full stop, for a reason that a reject has."""
    return next((todo for begin, todo in _ADVICE if reason.startswith(begin)), _OTHER)
