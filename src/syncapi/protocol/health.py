"""What the service says of itself."""

from typing import Literal

from pydantic import Field

from syncapi.protocol.base import WireModel

DependencyState = Literal["up", "down"]


class Liveness(WireModel):
    status: Literal["alive"]


class ReadinessReport(WireModel):
    """Whether requests should come here."""

    status: Literal["ready", "degraded"] = Field(
        description="`degraded`: something that can be done without is down."
    )
    checks: dict[str, DependencyState] = Field(
        description="The state of each dependency.",
        examples=[{"database": "up", "storage": "up", "redis": "up"}],
    )
