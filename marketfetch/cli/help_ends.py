"""What stands at the end of each command's --help: examples, and its exit codes.

The examples stand in one place, so that one test tries all of them: each is a line that a shell takes as it stands.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from marketfetch.cli.exit_codes import FAILED, MEANINGS, OK


class HelpEnd(NamedTuple):
    """Examples of a command, and what its exit codes 0 and 1 mean, where they mean more than MEANINGS says."""

    examples: tuple[str, ...]
    failed: str = ""
    ok: str = ""


_JOB_FAILED: Final = "With --wait: the job is over, and a request failed or it was cancelled. Else the job was refused."

HELP_ENDS: Final = {
    "demo": HelpEnd(("marketfetch demo",), "The demo failed: its logs stand in the folder that it names."),
    "init": HelpEnd(("marketfetch init",), "marketfetch.toml is here already, and was not changed."),
    "up": HelpEnd(
        ("marketfetch up", "marketfetch up --sandbox", "marketfetch up --workers 2 --web"),
        "A process could not start, or ended by itself.",
    ),
    "fetch": HelpEnd(
        (
            "marketfetch fetch polygon AAPL MSFT --start 2024-01-01 --end 2024-12-31 --wait",
            "marketfetch fetch alpha_vantage IBM --timespan 1h --start -30d",
            "marketfetch fetch polygon AAPL --dataset splits",
            "marketfetch fetch polygon @watchlist --start -1w --dry-run",
        ),
        _JOB_FAILED,
    ),
    "plan": HelpEnd(
        (
            "marketfetch plan polygon AAPL MSFT --start 2024-01-01",
            "marketfetch plan alpha_vantage IBM --timespan 5m --start -30d --json",
        ),
    ),
    "update": HelpEnd(
        ("marketfetch update polygon @watchlist --wait", "marketfetch update alpha_vantage IBM --last '10 sessions'"),
        _JOB_FAILED,
    ),
    "search": HelpEnd(
        ("marketfetch search polygon bank of america", "marketfetch search alpha_vantage tesla --json"),
        "No symbol was found, or the call failed.",
    ),
    "vendors": HelpEnd(("marketfetch vendors", "marketfetch vendors --json")),
    "datasets": HelpEnd(("marketfetch datasets", "marketfetch datasets nasdaq --json")),
    "status": HelpEnd(
        ("marketfetch status", "marketfetch status 4f2a --failed", "marketfetch status --freshness --json"),
        "JOB is over and a request failed, or it was cancelled; with --freshness, a series is stale.",
        "JOB runs, or all of it succeeded.",
    ),
    "watch": HelpEnd(("marketfetch watch", "marketfetch watch 4f2a --json"), "A job ended with failures, or was cancelled."),
    "show": HelpEnd(
        (
            "marketfetch show AAPL --last 10",
            "marketfetch show AAPL --timespan 1h --start -5d --json",
            "marketfetch show AAPL --adjust all --plot",
            "marketfetch show AAPL --dataset dividends",
        ),
    ),
    "export": HelpEnd(
        (
            "marketfetch export bars/ --symbols 'AAPL MSFT' --start 2024-01-01",
            "marketfetch export aapl.csv --symbols AAPL --adjust splits",
            "marketfetch export s3://bucket/bars/ --to parquet",
        ),
    ),
    "cancel": HelpEnd(("marketfetch cancel 4f2a", "marketfetch cancel nightly --json")),
    "resume": HelpEnd(("marketfetch resume 4f2a", "marketfetch resume"), "JOB, or one of the open jobs, can't go on."),
    "retry": HelpEnd(("marketfetch retry 4f2a", "marketfetch retry nightly --json")),
    "quotas": HelpEnd(("marketfetch quotas", "marketfetch quotas --json")),
    "quotas pause": HelpEnd(("marketfetch quotas pause main --for 2h", "marketfetch quotas pause main --provider polygon")),
    "quotas resume": HelpEnd(("marketfetch quotas resume main", "marketfetch quotas resume main --provider polygon")),
    "quotas health": HelpEnd(
        ("marketfetch quotas health", "marketfetch quotas health --json"),
        "Requests that may run are not admitted or not started.",
    ),
    "dead": HelpEnd(("marketfetch dead", "marketfetch dead --json")),
    "dead show": HelpEnd(("marketfetch dead show 1", "marketfetch dead show 1 --json")),
    "dead retry": HelpEnd(("marketfetch dead retry 1", "marketfetch dead retry --all"), "A message was not sent again."),
    "dead drop": HelpEnd(("marketfetch dead drop 1", "marketfetch dead drop --all --yes"), "A message was not dropped."),
    "dead reply": HelpEnd(("marketfetch dead reply polygon 0a1b2c > reply.json",)),
    "rejects": HelpEnd(
        ("marketfetch rejects", "marketfetch rejects AAPL --reason 'low is above'", "marketfetch rejects polygon --json"),
    ),
    "doctor": HelpEnd(
        ("marketfetch doctor", "marketfetch doctor AAPL MSFT --provider polygon --json"),
        "A finding is an error; or the look failed.",
    ),
    "compare": HelpEnd(
        ("marketfetch compare polygon alpha_vantage AAPL", "marketfetch compare polygon nasdaq AAPL --least 0.01 --json"),
        "A session is left that no split explains; or the comparison failed.",
    ),
    "replay": HelpEnd(
        ("marketfetch replay --dry-run", "marketfetch replay polygon --since 2024-06-01 --json"),
        "A file of the archive can't be used; or the replay failed.",
    ),
    "read": HelpEnd(
        (
            "marketfetch read polygon bars reply.json",
            "marketfetch read polygon bars reply.json --status 429 --header 'Retry-After: 5' --json",
        ),
        ok="The reply could be read, also if it holds a vendor's error.",
    ),
    "gaps": HelpEnd(
        ("marketfetch gaps", "marketfetch gaps polygon AAPL --start 2024-01-01 --json", "marketfetch gaps --repair"),
        "A gap is left that a call may mend; or the look failed.",
    ),
    "schedule": HelpEnd(("marketfetch schedule list", "marketfetch schedule run nightly")),
    "schedule list": HelpEnd(("marketfetch schedule list", "marketfetch schedule list --json")),
    "schedule next": HelpEnd(("marketfetch schedule next", "marketfetch schedule next --json")),
    "schedule run": HelpEnd(("marketfetch schedule run nightly", "marketfetch schedule run nightly --json")),
    "schedule pause": HelpEnd(("marketfetch schedule pause nightly",)),
    "schedule resume": HelpEnd(("marketfetch schedule resume nightly",)),
    "serve": HelpEnd(
        ("marketfetch serve", "marketfetch serve --host 0.0.0.0 --allow-host data.example.com"),
        "The server could not start.",
    ),
    "check": HelpEnd(
        ("marketfetch check", "marketfetch check --json", "marketfetch check --upgrade"),
        "An error stops fetching.",
        "Everything works; there may be warnings.",
    ),
    "purge": HelpEnd(("marketfetch purge --older-than 90d", "marketfetch purge --parked 4f2a --yes")),
    "archive": HelpEnd(("marketfetch archive show", "marketfetch archive purge --older-than 12w --dry-run")),
    "archive show": HelpEnd(("marketfetch archive show", "marketfetch archive show --json")),
    "archive purge": HelpEnd(
        ("marketfetch archive purge --older-than 12w --dry-run", "marketfetch archive purge --older-than 90d"),
    ),
    "token": HelpEnd(("marketfetch token create notebook", "marketfetch token list")),
    "token create": HelpEnd(
        ("marketfetch token create notebook", "marketfetch token create web-app --scope submit --submits 600/hour --for 90d"),
    ),
    "token list": HelpEnd(("marketfetch token list", "marketfetch token list --json")),
    "token revoke": HelpEnd(("marketfetch token revoke notebook",)),
    "set": HelpEnd(
        (
            "marketfetch set providers.polygon.limits 5/minute 500/day",
            "marketfetch set providers.polygon.api_keys --add main",
            "marketfetch set universes.watchlist AAPL MSFT",
            "marketfetch set --list",
            "marketfetch set --undo",
        ),
        "The change was refused: a wrong value, or another change of the setting came first.",
    ),
    "completion": HelpEnd(
        (
            'eval "$(marketfetch completion bash)"',
            'eval "$(marketfetch completion zsh)"',
            "marketfetch completion fish > ~/.config/fish/completions/marketfetch.fish",
        ),
    ),
}


def epilog(path: str) -> str:
    """The end of the help of a command, such as "quotas pause"; of "" that of `marketfetch` itself."""
    end = HELP_ENDS.get(path, HelpEnd(()))
    said = {**MEANINGS, OK: end.ok or MEANINGS[OK], FAILED: end.failed or MEANINGS[FAILED]}
    codes = "\n".join(f"  {code:<4} {meaning}" for code, meaning in said.items())
    examples = "\n".join(f"  {line}" for line in end.examples)
    # \b keeps click from filling the lines of a paragraph.
    blocks = [*([f"\b\nExamples:\n{examples}"] if examples else []), f"\b\nExit codes:\n{codes}"]
    return "\n\n".join(blocks)
