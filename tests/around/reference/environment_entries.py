"""Every variable of the environment that a process of marketfetch reads."""

from __future__ import annotations

from marketfetch.settings import CONFIG_VARIABLE, key_variables
from tests.around.reference.entry import Entry, in_a_cell
from tests.around.reference.setting_entries import settings, variable

INTRO = """
Every setting has a variable: `MARKETFETCH_`, and its place in capitals, joined by two underscores. Lists and tables are JSON; a
single API key may stand as it is. What a setting means: [settings](settings.md).
"""


def variables() -> list[Entry]:
    """The variables of settings, the one that names the file, and the vendors' own for keys."""
    found = [Entry(CONFIG_VARIABLE, "The settings file to read, if it is not `marketfetch.toml` in the current folder.")]
    found += [
        Entry(variable(one.name), f"The setting [`{one.name}`](settings.md).")
        for one in settings()
        if not one.name.startswith("schedule.")
    ]
    found.append(Entry("MARKETFETCH_SCHEDULE", "The schedules of `[[schedule]]`, as a JSON list of tables."))
    for vendor, names in key_variables().items():
        text = f"The key of {vendor}, if neither the file nor a `MARKETFETCH_` variable says anything about its `api_keys`."
        found += [Entry(name, text) for name in names]
    found.append(Entry("NO_COLOR", "Set to anything, commands print no colours; so they do where their output is piped."))
    return found


def page() -> str:
    rows = [f"| `{one.name}` | {in_a_cell(one.text)} |" for one in variables()]
    return "\n".join(["# Environment\n", INTRO.strip(), "", "| variable | what it sets |", "|---|---|", *rows]) + "\n"
