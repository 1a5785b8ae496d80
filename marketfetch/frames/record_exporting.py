"""`marketfetch export --dataset splits`: stored records as one file of Parquet, CSV or Arrow."""

from __future__ import annotations

from contextlib import closing

from marketfetch.exceptions import BadRequestError
from marketfetch.extras import need
from marketfetch.frames.empty_answers import refuse_unknown_vendor
from marketfetch.frames.export_names import Format, format_of, refuse_unlikely
from marketfetch.frames.exporting import Exported, writer
from marketfetch.frames.record_questions import record_batches, schema
from marketfetch.frames.stored_bars import reading
from marketfetch.ops.file_place import FilePlace
from marketfetch.storage.stored_records import RecordQuestion


def export_records(
    destination: str, asked: RecordQuestion, *, dataset: str, to: Format | None = None, overwrite: bool = False
) -> Exported:
    """Writes the records into one file: `destination`, or the dataset's name in the folder that it names.

    The file appears when it is whole, also after an interruption. Memory holds one part of the rows. Raises BadRequestError,
    UnavailableError.
    """
    need("pyarrow", "fsspec", for_what="`marketfetch export`")
    kind = format_of(destination)
    if to is not None and kind not in (None, to):
        raise BadRequestError(f"{destination} ends in .{kind}, and --to says {to}: leave --to out, or write another name.")
    refuse_unlikely(destination, ())
    to = to or kind or "parquet"
    if kind is None:
        destination = f"{destination.removesuffix('/')}/{dataset.lower()}.{to}"
    folder, slash, name = destination.rpartition("/")
    place = FilePlace(f"{folder}{slash}" or ".", then="The same command writes it again.")
    shown = f"{place.shown}{'' if place.shown.endswith('/') else '/'}{name}" if slash else name
    if place.exists(name) and not overwrite:
        raise BadRequestError(f"{shown} is there already: name another file, or write --overwrite.")
    new_folder = place.shown if place.is_new_folder() else ""
    rows = 0
    with reading("records") as store:
        refuse_unknown_vendor(store, asked)
        with place.replacing(name) as file, closing(writer(file, to, schema(asked.kind))) as into:
            for batch in record_batches(store, asked):
                into.write_batch(batch)
                rows += batch.num_rows
    return Exported(1, 0, rows, shown, new_folder)
