"""Whether the process lives, and whether it can do its work."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from syncapi.protocol.base import Success
from syncapi.protocol.health import Liveness, ReadinessReport
from syncapi.server.domain.errors import FieldError, Unavailable
from syncapi.server.web.dependencies import RunningService
from syncapi.server.web.openapi import problems
from syncapi.server.web.query import refuse_unknown_query
from syncapi.server.web.readiness import Readiness
from syncapi.server.web.responses import success

_RETRY_AFTER = 5.0

router = APIRouter(
    tags=["health"],
    responses=problems(400, 500),
    dependencies=[Depends(refuse_unknown_query)],
)


@router.get(
    "/livez",
    operation_id="getLiveness",
    summary="Is the process alive?",
    response_model=Success[Liveness],
)
async def livez() -> Response:
    """Answers as long as the process can answer at all: restart it when this fails."""
    return success("The process is alive.", Liveness(status="alive"))


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can the service do its work?",
    response_model=Success[ReadinessReport],
    responses=problems(503),
)
async def readyz(service: RunningService) -> Response:
    """Asks every dependency. Send requests elsewhere while this answers 503.

    The answer is shared by all who ask within a second.
    """
    found = await service.readiness.look()
    if found.missing:
        raise _not_ready(found)
    status = "degraded" if found.is_degraded else "ready"
    return success(
        f"The service is {status}.", ReadinessReport(status=status, checks=found.states)
    )


def _not_ready(found: Readiness) -> Unavailable:
    return Unavailable(
        f"The service is not ready: no answer from {', '.join(found.missing)}.",
        errors=[FieldError(name, f"It is {state}.") for name, state in found.states.items()],
        retry_after=_RETRY_AFTER,
    )
