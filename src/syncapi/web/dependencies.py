"""What routes ask for: the scope of a request, and the use cases."""

from typing import Annotated

from fastapi import Depends, Request

from syncapi.web.readiness import ReadinessChecks
from syncapi.web.service import service_of


async def _readiness(request: Request) -> ReadinessChecks:
    return service_of(request).readiness


Readied = Annotated[ReadinessChecks, Depends(_readiness)]
