"""The envelope of every successful answer, encoded once."""

from collections.abc import Mapping

import orjson
from starlette.responses import Response

from syncapi.protocol.base import WireModel


def success(
    message: str,
    data: WireModel,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer `data` in the envelope ``{"success": true, "message": …, "data": …}``."""
    return success_json(message, data.model_dump_json().encode(), status=status, headers=headers)


def success_json(
    message: str,
    data: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Answer `data`, which is JSON already, in the envelope."""
    return Response(
        b'{"success":true,"message":%b,"data":%b}' % (orjson.dumps(message), data),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )
