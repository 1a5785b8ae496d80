"""Checks records column by column, at about the cost of decoding them; what is unusual is left to the models of the rows.

The models of schemas/record_models.py stay the contract: the model's own fields check numbers, days and words, a column or
a value at a time; texts by their lengths and signs. Rows of which a model would refuse one, or of which one is written in
another way, are None here; `record_reading.py` looks for those, and gives them to the model, which has the reasons. A property
test proves that both ways find the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Final

import msgspec
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from marketfetch.schemas.record_kinds import RecordKind, Value
from marketfetch.schemas.record_models import MODELS
from marketfetch.vendors.absence import is_absent

Column = Sequence[Any]
Mend = Callable[[Any], object]
Rows = list[tuple[Value, ...]]
_Check = Callable[[Column], Column]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_JSON_TYPES: Final[Mapping[str, type]] = MappingProxyType({"text": str, "day": str, "number": float, "whole": int})
#: Values of a field that a process remembers as checked: forty years of days, none of them longer than a moment.
_VALUES_KEPT: Final = 16_384
_LONGEST_VALUE: Final = 40
_PRINTABLE: Final = bytes(range(0x20, 0x7F))


class QuickRecords:
    """The reader of one kind of one vendor.

    `names` has our column of each of the vendor's fields. By our names, `types` has the JSON type of a field that is not the
    column's own, and `mended` what makes a value of ours of the vendor's. `rows` is the type of the vendor's rows for msgspec.
    """

    def __init__(
        self,
        kind: RecordKind,
        names: Mapping[str, str],
        *,
        types: Mapping[str, type] = _NOTHING,
        mended: Mapping[str, Mend] = _NOTHING,
    ) -> None:
        theirs = {ours: name for name, ours in names.items()}
        json_types = {one.name: types.get(one.name, _JSON_TYPES[one.type]) for one in kind.columns}
        fields = [(ours, json_types[ours] | None, None) for ours in theirs]
        row = msgspec.defstruct("Row", fields, rename=theirs, gc=False)
        self.rows: Any = list.__class_getitem__(row)
        self._raw = msgspec.json.Decoder(self.rows)
        self.kind = kind
        self._ours = tuple(theirs)
        self._checks = {name: _check_of(field, mended.get(name)) for name, field in MODELS[kind.name].model_fields.items()}

    def of_rows(self, rows: Iterable[Any], known: Mapping[str, object] = _NOTHING) -> Rows | None:
        """The records of rows of the type `rows`, in their order; None if anything about one is unusual."""
        columns = zip(*map(msgspec.structs.astuple, rows), strict=True)
        return self.of_columns(dict(zip(self._ours, columns, strict=False)), known)

    def of_raw(self, rows: Sequence[msgspec.Raw], known: Mapping[str, object] = _NOTHING) -> Rows | None:
        """The same of rows that are not decoded yet."""
        found = decoded(self._raw, b"[" + b",".join(rows) + b"]")
        return None if found is None else self.of_rows(found, known)

    def of_columns(self, columns: Mapping[str, Column], known: Mapping[str, object] = _NOTHING) -> Rows | None:
        """The same of columns by our name, which are of one length; `known` are values that no row has by itself."""
        many = max(map(len, columns.values()), default=0)
        if not many:
            return None
        found: dict[str, Column] = {}
        try:
            for name, check in self._checks.items():
                found[name] = check(columns[name] if name in columns else [known.get(name)] * many)
        except (ValidationError, ValueError):
            return None
        rule = _RULES.get(self.kind.name)
        if rule is not None and not rule(found):
            return None
        return list(zip(*(found[one.name] for one in self.kind.columns), strict=True))


def decoded(decoder: msgspec.json.Decoder[Any], body: bytes) -> Any:
    """The body as the decoder's type; None if it is another one."""
    try:
        if not body.isascii():
            body.decode()  # msgspec does not check that skipped text is UTF-8.
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _check_of(field: FieldInfo, mend: Mend | None) -> _Check:
    """What turns a column of the vendor's values into one of ours, and raises for a value that the model would refuse."""
    if mend is None and field.annotation is str and not any(getattr(one, "pattern", None) for one in field.metadata):
        return _texts(field)
    if mend is None and field.annotation in (float, int, float | None, int | None):
        column: Any = list.__class_getitem__(_type_of(field))
        return TypeAdapter(column).validate_python
    return _few_values(field, mend)


def _type_of(field: FieldInfo) -> Any:
    return Annotated[field.annotation, "as in the model", *field.metadata]


def _texts(field: FieldInfo) -> _Check:
    least = max((one.min_length for one in field.metadata if hasattr(one, "min_length")), default=0)
    most = min(one.max_length for one in field.metadata if hasattr(one, "max_length"))

    def checked(column: Column) -> Column:
        try:
            lengths, signs = set(map(len, column)), "".join(column)
        except TypeError:  # a value is absent
            if field.is_required() or None not in column:
                raise ValueError from None
            return checked([field.default if one is None else one for one in column])
        # The signs of all texts at once.
        if min(lengths) < least or max(lengths) > most or not _is_printable(signs):
            raise ValueError
        return column

    return checked


def _is_printable(text: str) -> bool:
    """`str.isprintable`, in a tenth of its time where the text is ASCII."""
    return not text.encode().translate(None, _PRINTABLE) if text.isascii() else text.isprintable()


def _few_values(field: FieldInfo, mend: Mend | None) -> _Check:
    """For columns with few values, as days and words are: what passes is remembered."""
    adapter = TypeAdapter(_type_of(field))

    @lru_cache(_VALUES_KEPT)
    def value_of(value: Any) -> Value:
        if isinstance(value, str) and len(value) > _LONGEST_VALUE:
            raise ValueError
        ours = value if value is None or mend is None else mend(value)
        if ours is None or (field.annotation is not str and is_absent(ours)):
            if field.is_required():
                raise ValueError
            return field.default  # type: ignore[no-any-return]
        found = adapter.validate_python(ours)
        return found.isoformat() if isinstance(found, date) else found

    return lambda column: list(map(value_of, column))


def _listings(columns: dict[str, Column]) -> bool:
    """As the model names a listing by its last day, or its first one."""
    days = list(zip(columns["listed"], columns["delisted"], strict=True))
    columns["listing"] = [last or first or "" for first, last in days]
    return not any(first and last and last < first for first, last in days)


def _holidays(columns: dict[str, Column]) -> bool:
    return all(closes or status != "early-close" for status, closes in zip(columns["status"], columns["closes"], strict=True))


#: What a model says of a row as a whole.
_RULES: Final[Mapping[str, Callable[[dict[str, Column]], bool]]] = MappingProxyType(
    {"symbols": _listings, "holidays": _holidays}
)
