"""What `marketfetch check` says about each vendor's settings. It calls no vendor."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from marketfetch import vendors
from marketfetch.configured import keys, options
from marketfetch.local import sandbox_note
from marketfetch.ops.finding import Finding
from marketfetch.settings import get_settings, origin, unused_key_variables


def of_vendor(name: str) -> Iterator[Finding]:
    """Checks one vendor's settings: its keys and where they come from, its address, the way to it, and its limits."""
    section = get_settings().provider(name)
    labels = ", ".join(key.label for key in section.keys)
    if not labels:
        yield Finding(level="warning", subject=name, sentence=f"No API key, so jobs for it are refused. {_remedy(name)}")
        return
    host = urlsplit(section.base_url)
    if not _can_be_called(host):
        where = origin("providers", name, "base_url")
        sentence = f"providers.{name}.base_url is no URL that can be called ({section.base_url}). Correct it ({where})."
        yield Finding(level="error", subject=name, sentence=sentence)
        return
    sentence = f"Keys: {labels} ({origin('providers', name, 'api_keys')}). Asked at {host.scheme}://{host.netloc}."
    yield Finding(level="ok", subject=name, sentence=sentence)
    yield from _unused_variables(name)
    yield from _way(name)
    for sentence in vendors.vendor(name).describe(options(name)):
        yield Finding(level="ok", subject=name, sentence=sentence)
    if host.scheme == "http" and host.hostname not in ("127.0.0.1", "::1", "localhost"):
        yield Finding(
            level="warning",
            subject=name,
            sentence=f"providers.{name}.base_url begins with http://, so keys travel in clear. Write https://.",
        )
    yield _limits(name)


def _limits(name: str) -> Finding:
    section, allowed = get_settings().provider(name), keys(name)[0]
    texts = [*(one.text for one in allowed.windows), *(one.text for one in allowed.calendars)]
    if texts:
        by = "your limits" if section.limits is not None else f"the plan {section.plan!r}"
        most = f", {allowed.concurrency} at once" if allowed.concurrency else ""
        return Finding(level="ok", subject=name, sentence=f"By {by}, each key makes {' and '.join(texts)}{most}.")
    if sandbox_note.find(get_settings().state_dir):
        sentence = "The sandbox is asked without limits: plan, limits and key_limits count again when it ends."
        return Finding(level="ok", subject=name, sentence=sentence)
    return Finding(
        level="warning",
        subject=name,
        sentence="No limits are set, so only the vendor's refusals slow us down. "
        f'Set what your plan allows, for example providers.{name}.limits = ["5/minute"].',
    )


def _can_be_called(url: SplitResult) -> bool:
    try:
        return url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # a port that is no number
        return False


def _remedy(name: str) -> str:
    setting, theirs = f"providers.{name}.api_keys", vendors.vendor(name).key_variables
    if unused := _unused(name):
        where = origin("providers", name, "api_keys")
        return f"{unused[0]} is not used, because {setting} is an empty list ({where}): remove that."
    return f"Set {setting} if you want it{f', or the variable {theirs[0]}' if theirs else ''}."


def _unused(name: str) -> list[str]:
    """A sandbox uses no key but its own."""
    return [] if sandbox_note.find(get_settings().state_dir) else unused_key_variables(name)


def _unused_variables(name: str) -> Iterator[Finding]:
    """Another key than ours in a variable of the vendor's may be the one that the user meant."""
    for variable in _unused(name):
        sentence = f"{variable} holds another key, which is not used: the keys above go before it. Unset it, or remove those."
        yield Finding(level="ok", subject=name, sentence=sentence)


def _way(name: str) -> Iterator[Finding]:
    """The proxy, without user and password, and the authorities."""
    section = get_settings().provider(name)
    if section.proxy is not None:
        proxy = urlsplit(section.proxy.get_secret_value())
        where = origin("providers", name, "proxy")
        login = ", with a user and a password" if proxy.username else ""
        sentence = f"Its calls go through the proxy {proxy.hostname}:{proxy.port}{login} ({where})."
        yield Finding(level="ok", subject=name, sentence=sentence)
    if section.ca_file is not None:
        where = origin("providers", name, "ca_file")
        if why := _unusable(str(section.ca_file)):
            sentence = f"providers.{name}.ca_file can't be used: {section.ca_file} {why}. Correct it ({where})."
            yield Finding(level="error", subject=name, sentence=sentence)
        else:
            sentence = f"Its certificate is checked by the authorities in {section.ca_file} alone ({where})."
            yield Finding(level="ok", subject=name, sentence=sentence)


def _unusable(ca_file: str) -> str:
    """Returns why a file of authorities can't be used; "" if it can."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        return "holds no certificate in PEM form"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return "" if context.cert_store_stats()["x509"] else "holds no certificate in PEM form"
