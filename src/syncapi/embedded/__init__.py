"""Real PostgreSQL, S3 and Valkey from wheels, for `make run` and the tests. Linux only."""

from syncapi.embedded.addresses import ServiceAddresses
from syncapi.embedded.errors import EmbeddedError
from syncapi.embedded.postgres import PostgresServer
from syncapi.embedded.s3 import S3Server
from syncapi.embedded.services import EmbeddedServices
from syncapi.embedded.valkey import ValkeyServer

__all__ = [
    "EmbeddedError",
    "EmbeddedServices",
    "PostgresServer",
    "S3Server",
    "ServiceAddresses",
    "ValkeyServer",
]
