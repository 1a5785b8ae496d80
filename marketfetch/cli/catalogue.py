"""`marketfetch vendors` and `marketfetch datasets` list what can be fetched, and how fast, without settings and servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from marketfetch.cli import completing
from marketfetch.cli.screen import hint, json_option, table

if TYPE_CHECKING:
    from marketfetch.vendors.protocol import Plan, SymbolForm


@click.command()
@json_option
def vendors(*, as_json: bool) -> None:
    """List the installed vendors with the limits of their published plans and their symbols.

    The limits are those of one key, from the page that is named beside them, read in the month that is named. Settings may
    replace them: `marketfetch check` shows what is in force here.
    """
    from marketfetch.documents.vendor_documents import vendors_document
    from marketfetch.vendors import names, vendor

    found = [vendor(name) for name in names()]
    if as_json:
        click.echo(json.dumps(vendors_document()))
        return
    for number, one in enumerate(found):
        if number:
            click.echo()
        rows = [(one.name, f"{one.title}, {one.documentation}")]
        rows += [(f"plan {name}", _limits(plan)) for name, plan in one.plans.items()]
        rows += [("datasets", ", ".join(dataset.name for dataset in one.datasets))]
        rows += [("symbols", _symbols(one.symbol_forms))]
        rows += [("key", f"{' or '.join(one.key_variables)}, or api_keys in the settings")] if one.key_variables else []
        table(rows, styles={one.name: "bold"})


@click.command()
@click.argument("name", metavar="[VENDOR]", required=False, shell_complete=completing.providers)
@json_option
def datasets(*, name: str | None, as_json: bool) -> None:
    """List the datasets of a vendor, or of all: timespans, adjustments and examples of symbols.

    A dataset without timespans has records that are no bars, such as splits: docs/datasets.md has their tables. One that is
    "read only" is not fetched; `marketfetch read` shows a saved reply of it.
    """
    from marketfetch.documents.vendor_documents import datasets_document, forms_of
    from marketfetch.exceptions import WrongValueError
    from marketfetch.vendors import UnknownVendor, names, vendor

    try:
        found = [(one, dataset) for one in map(vendor, [name] if name else names()) for dataset in one.datasets]
    except UnknownVendor as error:
        raise WrongValueError(str(error)) from None
    if as_json:
        click.echo(json.dumps(datasets_document(found)))
        return
    rows = [("vendor", "dataset", "what", "timespans", "adjustments", "symbols")]
    for one, dataset in found:
        bars = (", ".join(dataset.timespans), ", ".join(dataset.adjustments))
        if not dataset.has_bars:
            bars = (f"no bars: table {dataset.records}" if dataset.records else "no bars: read only", "")
        rows.append((one.name, dataset.name, dataset.title, *bars, _symbols(forms_of(one, dataset))))
    table(rows)
    hint("Fetch with: marketfetch fetch VENDOR SYMBOL ... --dataset DATASET --timespan TIMESPAN --adjustment ADJUSTMENT")


def _limits(plan: Plan) -> str:
    limits = " and ".join(plan.limits) or "no limits"
    most = f", {plan.concurrency} at once" if plan.concurrency else ""
    return f"{limits}{most} ({plan.source}, read in {plan.read_on})"


def _symbols(forms: list[SymbolForm] | tuple[SymbolForm, ...]) -> str:
    return "; ".join(dict.fromkeys(f"{one.kind} {', '.join(one.examples)}" for one in forms))
