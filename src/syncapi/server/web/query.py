"""Unknown, misspelt and repeated query parameters are errors that name them, on every route."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from fastapi import Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import ParamTypes
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from syncapi.server.domain.errors import FieldError, InvalidInput

QueryNames = Mapping[Callable[..., Any], frozenset[str]]
"""The query parameters that each endpoint declares."""


def declared_query(routes: Iterable[BaseRoute]) -> QueryNames:
    """Read off the routes what their endpoints declare."""
    return {route.endpoint: _names_of(route) for route in routes if isinstance(route, APIRoute)}


async def refuse_unknown_query(request: Request) -> None:
    """Hold the query string against what the route declares.

    Raises:
        InvalidInput: names each parameter that is unknown or given more than once.
    """
    if not request.scope["query_string"]:
        return
    known = request.app.state.query_names[request.scope["endpoint"]]
    given = Counter(name for name, _ in request.query_params.multi_items())
    errors = [FieldError(name, _find_unknown(name, known)) for name in given if name not in known]
    errors += [
        FieldError(name, f"It is given {times} times. Give it once.")
        for name, times in given.items()
        if times > 1 and name in known
    ]
    if errors:
        raise InvalidInput(f"{errors[0].field}: {errors[0].message}", errors=errors)


def _find_unknown(name: str, known: frozenset[str]) -> str:
    alike = get_close_matches(name, known, n=1)
    if alike:
        return f"There is no such parameter. Did you mean '{alike[0]}'?"
    if not known:
        return "There is no such parameter: this path takes none."
    return f"There is no such parameter. There are: {', '.join(sorted(known))}."


def _names_of(route: APIRoute) -> frozenset[str]:
    fields = get_flat_params(route.dependant)
    return frozenset(
        field.alias
        for field in fields
        if getattr(field.field_info, "in_", ParamTypes.query) is ParamTypes.query
    )
