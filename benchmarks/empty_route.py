"""The least that a Starlette server can do: what the idle poll is held against."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def empty(_request: Request) -> Response:
    return Response()


app = Starlette(routes=[Route("/empty", empty)])
