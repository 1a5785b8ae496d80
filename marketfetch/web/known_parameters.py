"""A query with a parameter that its route does not have is refused, as a body with an unknown field is.

Ignored, `strat=2024-01-02` would be an answer to another question.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from marketfetch.suggestions import did_you_mean
from marketfetch.web.problems import Refused

_MOST_NAMED: Final = 60


async def known_parameters(request: Request) -> None:
    """Raises Refused (422) that names the parameter, and the one that was meant."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = _names(route.dependant)
    unknown = next((one[:_MOST_NAMED] for one in request.query_params if one not in known), None)
    if unknown is not None:
        has = f"This path has {', '.join(known)}." if known else "This path has none."
        sentence = " ".join(one for one in (f"There is no parameter {unknown!r}.", did_you_mean(unknown, known), has) if one)
        raise Refused(422, sentence, errors=[{"where": unknown, "what": "is not known here"}])


def _names(dependant: Dependant) -> list[str]:
    """The parameters of a route, and of what it depends on."""
    return [*(one.alias for one in dependant.query_params), *(name for one in dependant.dependencies for name in _names(one))]
