"""No library's raw words reach a user: every option, every setting and every public function is walked with bad input."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import marketfetch
from marketfetch import settings
from marketfetch.cli.main import Commands
from marketfetch.cli.main import marketfetch as command
from marketfetch.exceptions import MarketfetchError
from marketfetch.setting_faults import fields

#: Words of pydantic, of click about numbers and dates, of Python's own errors, and of our last resort.
RAW = re.compile(
    r"[Ff]ield required|[Ii]nput should|Extra inputs|(String|List|Value|Tuple|Set|Dictionary|Object|Data) should|Value error|"
    r"validation error|[Uu]nable to parse|is not a valid|not in the range|does not match the format|%Y|out of range|"
    r"Invalid isoformat|[Pp]ydantic|type=\w+_|match pattern|unexpected keyword|Traceback|should not happen|"
    r"object has no attribute|invalid literal|not supported between|NoneType"
)
BAD_WORDS = ("", "x", "-1", "99999999999999999999", "0001-01-01", "99999-01-01", "2024-02-30", "-5m", "nan", "\x1ba")
BAD_JSON = ("", "x", "-1", "nan", "null", '"x"', "[[1]]", "\x1ba")
BAD_VALUES: tuple[Any, ...] = (None, True, 5, 1.5, "", "x", b"x", [], [5], {"a": 1}, date.max, object(), "\x1b", "\udc80")
#: They read nothing but numbers and start servers with right ones.
STARTS = (("up",), ("demo",), ("serve",))


def leaves(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, one in group.commands.items():
        if isinstance(one, click.Group):
            yield from leaves(one, *path, name)
        yield (*path, name), one


LEAVES = dict(leaves(command))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, one key, and a Redis that is away: what is not refused at once ends with a sentence about that."""
    monkeypatch.chdir(tmp_path)
    for name in settings.environment().keys() - settings.unrelated_environment().keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("MARKETFETCH_REDIS_URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv("MARKETFETCH_PROVIDERS__POLYGON__API_KEYS", "main:key")
    settings.get_settings.cache_clear()
    yield tmp_path
    settings.get_settings.cache_clear()


def typed(one: click.Command, wrong: click.Parameter, value: str) -> list[str]:
    """A right word for each argument, and `value` for the parameter that is to be wrong."""
    right = {"provider": "polygon", "symbols": "AAPL", "symbol": "AAPL", "destination": "out", "number": "1-0"}
    given = [value if each is wrong else right.get(str(each.name), "abcdef01") for each in one.params if arguable(each)]
    return given if arguable(wrong) else [f"{wrong.opts[0]}={value}", *given]


def arguable(parameter: click.Parameter) -> bool:
    return isinstance(parameter, click.Argument)


@pytest.mark.parametrize(
    "path", [path for path, one in LEAVES.items() if any(each.required for each in one.params)], ids=" ".join
)
def test_a_missing_argument_is_named(path: tuple[str, ...]) -> None:
    done = CliRunner().invoke(command, path)
    assert done.exit_code == 2
    assert "Missing argument" in done.output or "Missing option" in done.output


def test_a_symbol_in_the_place_of_the_vendor_is_no_vendor() -> None:
    done = CliRunner().invoke(command, ["fetch", "AAPL"])
    assert "There is no vendor 'AAPL'" in done.stderr
    assert "The vendor comes first, then the symbols." in done.stderr


@pytest.mark.parametrize(("key", "code"), [(KeyboardInterrupt(), 130), (EOFError(), 1), ("n", 1)])
def test_a_question_that_is_not_answered_with_yes_changes_nothing(monkeypatch: pytest.MonkeyPatch, key: Any, code: int) -> None:
    def answer(_: str = "") -> str:
        if isinstance(key, BaseException):
            raise key
        return str(key)

    group = Commands("ours")
    group.add_command(click.Command("ask", callback=lambda: click.confirm("Sure?", abort=True, err=True)))
    monkeypatch.setattr("click.termui.visible_prompt_func", answer)
    with pytest.raises(SystemExit) as ended:
        group.main(["ask"])
    assert ended.value.code == code


def refusal(ask: Callable[[], object]) -> str:
    """What the error says; "" where there is none."""
    try:
        ask()
    except MarketfetchError as error:
        return str(error)
    return ""


def read_settings() -> None:
    settings.get_settings.cache_clear()
    settings.get_settings()


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_a_bad_value_of_each_option_and_argument_is_refused_in_our_words(path: tuple[str, ...]) -> None:
    one = LEAVES[path]
    assert not RAW.search(CliRunner().invoke(command, [*path, "--help"]).output)
    for parameter in one.params:
        numeric = isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType)
        if getattr(parameter, "is_flag", False) or (path in STARTS and not numeric):
            continue
        for value in ("", "x", "-1") if path in STARTS else BAD_WORDS:
            words = [*path, *typed(one, parameter, value)]
            done = CliRunner().invoke(command, words, input="")
            assert not RAW.search(done.output), (words, done.output)


@pytest.mark.parametrize("section", sorted({name.rpartition("__")[0] for name, _ in fields(settings.model())}))
def test_a_bad_value_of_each_setting_is_refused_in_our_words(section: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name, _ in fields(settings.model()) if name.rpartition("__")[0] == section]:
        variable = f"MARKETFETCH_{name.upper()}"
        for value in BAD_JSON:
            monkeypatch.setenv(variable, value)
            said = refusal(read_settings)
            assert not RAW.search(said), (variable, value, said)
            assert not said or variable in said
        monkeypatch.delenv(variable)


def test_a_value_of_the_wrong_kind_in_the_file_is_refused_in_our_words(folder: Path) -> None:
    for name, _ in fields(settings.model()):
        table, _, last = name.replace("__", ".").rpartition(".")
        for value in ("[[1]]", "2024-01-01"):
            (folder / "marketfetch.toml").write_text(f"[{table}]\n{last} = {value}\n" if table else f"{last} = {value}\n")
            said = refusal(read_settings)
            assert not RAW.search(said), (name, value, said)


def test_a_wait_of_an_async_app_refuses_what_is_no_number_of_seconds() -> None:
    async def wait() -> None:
        async with marketfetch.AsyncMarketfetch() as ours:
            wrong: Any = "soon"
            await ours.wait("abcdef01", timeout_s=wrong)

    assert "timeout_s is a number of seconds" in refusal(lambda: asyncio.run(wait()))


ASKED: dict[str, Any] = {"provider": "polygon", "symbols": ["AAPL"], "job_id": "abcdef01", "dataset": "splits"}


@pytest.mark.parametrize("name", [one for one in marketfetch.__all__ if inspect.isfunction(getattr(marketfetch, one))])
def test_a_bad_argument_of_each_public_function_is_refused_in_our_words(name: str) -> None:
    function = getattr(marketfetch, name)
    signature = inspect.signature(function)
    needed = {one.name: ASKED[one.name] for one in signature.parameters.values() if one.default is inspect.Parameter.empty}
    for argument in signature.parameters:
        for value in BAD_VALUES:
            said = refusal(partial(function, **needed | {argument: value}))
            assert not RAW.search(said), (argument, value, said)
