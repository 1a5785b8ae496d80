"""`marketfetch serve`: the web API, until Ctrl-C."""

from __future__ import annotations

import ipaddress
import re

import click

from marketfetch.cli.ports import WEB_PORT

#: A name or an IPv4 address, and an IPv6 address with or without its brackets.
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})|\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?")
_ORIGIN = re.compile(rf"https?://(?:{_HOST.pattern})(?::[0-9]{{1,5}})?/?")


def _host(ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """A name or an address, without brackets. Raises BadParameter."""
    for one in (value,) if isinstance(value, str) else value:
        if not _HOST.fullmatch(one) or (":" in one and not _is_ipv6(one.strip("[]"))):
            raise click.BadParameter(
                f"{one!r} is no name of a host: write one such as data.example, or an address.", ctx, param
            )
    return value.strip("[]") if isinstance(value, str) else tuple(one.strip("[]") for one in value)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _origins(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Origins of pages. Raises BadParameter."""
    for one in value:
        if not _ORIGIN.fullmatch(one):
            raise click.BadParameter(f"{one!r} is no site: write it as in a browser, such as https://app.example.", ctx, param)
    return value


@click.command()
@click.option("--host", callback=_host, default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=WEB_PORT, show_default=True, help="The port; 0 is any free one.")
@click.option(
    "--allow-host",
    "hosts",
    callback=_host,
    multiple=True,
    metavar="NAME",
    help="A name of this server in a request's Host, such as that of a proxy in front of it. May be given several times.",
)
@click.option(
    "--allow-origin",
    "origins",
    callback=_origins,
    multiple=True,
    metavar="URL",
    help="A site whose pages may call the API from a browser (CORS), such as https://app.example. None by default.",
)
@click.option("--require-token", is_flag=True, help="Ask for a token always, also from this machine; needed behind a proxy.")
def serve(*, host: str, port: int, hosts: tuple[str, ...], origins: tuple[str, ...], require_token: bool) -> None:
    """Serve the page and the web API: what the commands do, for people and as JSON over HTTP. See docs/web-api.md.

    From this machine it is asked without a token, and what asks so may do all that you may. Every other address needs a token.
    A proxy on this machine is not always recognised: behind one use --require-token. Ctrl-C ends it; the exit code is 0.
    """
    from marketfetch.extras import need

    need("fastapi", "jinja2", "uvicorn", for_what="`marketfetch serve`")
    from marketfetch.cli.owner import owner
    from marketfetch.cli.signals import signals_as_exceptions
    from marketfetch.ops import access_tokens
    from marketfetch.settings import get_settings
    from marketfetch.web import http_server, server_logs
    from marketfetch.web.app import guarded, make_api
    from marketfetch.web.guards import AccessRules, bare_host, is_loopback, origins_of

    get_settings()  # wrong settings are refused before anything is opened
    rules = AccessRules(
        loopback=is_loopback(host),
        hosts=tuple(map(bare_host, hosts)),
        tokens_always=require_token,
        origins=origins_of(origins),
    )
    try:
        with signals_as_exceptions():
            if not rules.loopback and not any(map(access_tokens.is_valid, access_tokens.listed())):
                raise click.ClickException(
                    f"{host} can be reached from other machines, and there is no token: `marketfetch token create NAME` makes "
                    "one. Or listen on 127.0.0.1."
                )
            server_logs.setup()
            api = make_api(rules, owner=owner())
            with http_server.listen(host, port) as listening:
                at = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
                click.echo(f"The web API is at {at}/api/v1; Ctrl-C stops it")
                http_server.run(guarded(api, rules), api.state.service, listening)
    except KeyboardInterrupt:
        click.echo("the web API is stopped", err=True)
