"""The parts of the running service, as the routes see them."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from syncapi.redis.rate_limit import RateLimiter
from syncapi.usecases.access import AccessGate
from syncapi.usecases.archives.making import Archives
from syncapi.usecases.completion import Completions
from syncapi.usecases.direct_uploads import DirectUploads
from syncapi.usecases.documents import Documents
from syncapi.usecases.downloads import Downloads
from syncapi.usecases.group_commit import GroupCommit
from syncapi.usecases.history import History
from syncapi.usecases.pull import Pull
from syncapi.usecases.uploads import Uploads
from syncapi.web.readiness import ReadinessChecks


@dataclass(frozen=True, slots=True)
class Service:
    """Made by the composition root when the application starts; lives on ``app.state.service``.

    Attributes:
        limiter: None where the settings ask for no limit.
    """

    gate: AccessGate
    pull: Pull
    pushes: GroupCommit
    documents: Documents
    history: History
    uploads: Uploads
    downloads: Downloads
    direct_uploads: DirectUploads
    completions: Completions
    archives: Archives
    limiter: RateLimiter | None
    readiness: ReadinessChecks


def service_of(connection: HTTPConnection) -> Service:
    """Return the parts of the service that serves this request."""
    service = connection.app.state.service
    assert isinstance(service, Service)  # noqa: S101 - the composition root put it there
    return service
