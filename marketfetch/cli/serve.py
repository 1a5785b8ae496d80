"""`marketfetch serve`: the web API, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from marketfetch.cli.ports import WEB_PORT


def _checked(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that checks each value as the setting does. It raises BadParameter."""

    def check(ctx: click.Context, param: click.Parameter, value: str | tuple[str, ...] | None) -> Any:
        from marketfetch import serve_section

        one = getattr(serve_section, name)
        try:
            return one(value) if isinstance(value, str) else value and tuple(map(one, value))
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return check


@click.command()
@click.option("--host", callback=_checked("host_name"), help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help=f"The port; 0 is any free one.  [default: {WEB_PORT}]")
@click.option(
    "--allow-host",
    "hosts",
    callback=_checked("host_name"),
    multiple=True,
    metavar="NAME",
    help="A name of this server in a request's Host, such as that of a proxy in front of it. May be given several times.",
)
@click.option(
    "--allow-origin",
    "origins",
    callback=_checked("origin"),
    multiple=True,
    metavar="URL",
    help="A site whose pages may call the API from a browser (CORS), such as https://app.example. None by default.",
)
@click.option("--require-token", is_flag=True, help="Ask for a token always, also from this machine; needed behind a proxy.")
def serve(*, host: str | None, port: int | None, hosts: tuple[str, ...], origins: tuple[str, ...], require_token: bool) -> None:
    """Serve the page and the web API: what the commands do, for people and as JSON over HTTP. See docs/web-api.md.

    From this machine it is asked without a token, and what asks so may do all that you may. Every other address needs a token.
    A proxy on this machine is not always recognised: behind one use --require-token. The section [serve] of the settings says
    the same for every start: options win, and add to its lists. Ctrl-C ends it; the exit code is 0.
    """
    from marketfetch.extras import need

    need("fastapi", "jinja2", "uvicorn", for_what="`marketfetch serve`")
    from marketfetch import connections
    from marketfetch.cli.owner import owner
    from marketfetch.cli.signals import signals_as_exceptions
    from marketfetch.ops import access_tokens
    from marketfetch.settings import get_settings
    from marketfetch.web import http_server, server_logs
    from marketfetch.web.app import guarded, make_api
    from marketfetch.web.guards import AccessRules, bare_host, is_loopback, origins_of

    settings = get_settings().serve  # wrong settings are refused before anything is opened
    host, port = host or settings.host, settings.port if port is None else port
    rules = AccessRules(
        loopback=is_loopback(host),
        hosts=tuple(map(bare_host, dict.fromkeys((*hosts, *settings.hosts)))),
        tokens_always=require_token or settings.require_token,
        origins=origins_of((*origins, *settings.origins)),
    )
    try:
        with signals_as_exceptions():
            if not rules.loopback and not any(map(access_tokens.is_valid, access_tokens.listed())):
                raise click.ClickException(
                    f"{host} can be reached from other machines, and there is no token: `marketfetch token create NAME` makes "
                    "one. Or listen on 127.0.0.1."
                )
            server_logs.setup()
            connections.wait_as_people_do()
            api = make_api(rules, owner=owner())
            with http_server.listen(host, port) as listening:
                at = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
                click.echo(f"The web API is at {at}/api/v1; Ctrl-C stops it")
                http_server.run(guarded(api, rules), api.state.service, listening)
    except KeyboardInterrupt:
        click.echo("the web API is stopped", err=True)
