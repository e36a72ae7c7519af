"""The parts of the running service, as the routes see them."""

from dataclasses import dataclass

from starlette.requests import HTTPConnection

from syncapi.server.redis.rate_limit import RateLimiter
from syncapi.server.usecases.access import AccessGate
from syncapi.server.usecases.archives.archive import Archives
from syncapi.server.usecases.direct_uploads import DirectUploads
from syncapi.server.usecases.documents import Documents
from syncapi.server.usecases.downloads import Downloads
from syncapi.server.usecases.group_commit import GroupCommit
from syncapi.server.usecases.history import History
from syncapi.server.usecases.pull import Pull
from syncapi.server.usecases.upload_completion import Completions
from syncapi.server.usecases.uploads import Uploads
from syncapi.server.web.readiness import ReadinessChecks


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
