"""Every setting of the service: one frozen object, read once by the composition root."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from syncapi.protocol.content import LARGEST_OBJECT
from syncapi.server.domain.rates import Rate
from syncapi.server.domain.transfers import LARGEST_PART, LEAST_PART, MIB
from syncapi.server.identity.jwks import PublicAlgorithm
from syncapi.server.storage.bucket import AddressingStyle
from syncapi.server.web.logging import LogFormat

_PLAIN_SCHEMES = ("postgresql://", "postgres://")


def _postgres_url(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(_PLAIN_SCHEMES):
        raise ValueError("write it as postgresql://user:password@host:port/database")
    return url


PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]


def _rate(text: str) -> str:
    if text:
        try:
            Rate.parse(text)
        except ValueError:
            hint = "write it as 3000/minute or 100 per 10 seconds, or leave it empty"
            raise ValueError(hint) from None
    return text


RateLimit = Annotated[str, AfterValidator(_rate)]


class IssuerSettings(BaseModel):
    """One issuer of RS256 or ES256 tokens, known by its key set (RFC 7517)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    audience: str
    jwks_url: str | None = None
    jwks_file: Path | None = None
    algorithm: PublicAlgorithm = "RS256"

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give either jwks_url or jwks_file")
        return self


class Settings(BaseSettings):
    """The settings, from ``SYNCAPI_…`` environment variables and ``.env``.

    Durations are in seconds and sizes in bytes unless the name says otherwise.
    """

    model_config = SettingsConfigDict(
        env_prefix="SYNCAPI_",
        env_file=".env",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    # Where the data is
    database_url: PostgresUrl = Field(
        description="The default tenant database; also the control database unless that is set."
    )
    control_database_url: PostgresUrl | None = Field(
        default=None, description="The database of tenants and memberships."
    )
    tenant_database_urls: dict[str, PostgresUrl] = Field(
        default={}, description="Further tenant databases: a JSON object of name → URL."
    )
    tenant_database_url_template: PostgresUrl | None = Field(
        default=None,
        description="URL of a database that is not listed; '{database}' stands for its name.",
    )
    redis_url: SecretStr | None = Field(
        default=None, description="Without it, limits and caches are those of one process."
    )

    # PostgreSQL
    pool_size: int = Field(default=10, ge=1, description="Connections per database and process.")
    pool_timeout: float = Field(default=5, gt=0, description="Wait for a free connection.")
    pool_idle_seconds: float = Field(
        default=300, gt=0, description="A pool unused for so long closes."
    )
    statement_timeout: float = Field(default=30, gt=0, description="Of one SQL statement.")
    prepared_statements: bool = Field(
        default=True, description="Set to false behind a pooler that cannot keep them."
    )

    # S3
    s3_endpoint_url: str | None = Field(default=None, description="None for AWS itself.")
    s3_public_endpoint_url: str | None = Field(
        default=None,
        description="The endpoint as clients see it, in signed URLs. Default: s3_endpoint_url.",
    )
    s3_region: str = Field(default="us-east-1", description="Part of every signature.")
    s3_bucket: str = Field(
        min_length=3, max_length=63, description="The bucket of all files; it must exist."
    )
    s3_access_key_id: str = Field(description="May read, write, list and delete in the bucket.")
    s3_secret_access_key: SecretStr = Field(description="Of that key; it signs URLs too.")
    s3_addressing_style: AddressingStyle = Field(
        default="path", description="Whether the bucket stands in the path or in the host name."
    )
    s3_checksums: bool = Field(
        default=True,
        description="Whether S3 verifies x-amz-checksum-sha256. False: what was uploaded is read.",
    )
    s3_read_seconds: float = Field(
        default=30, gt=0, description="S3 may be silent so long, in the middle of an answer too."
    )
    s3_call_seconds: float = Field(
        default=120, gt=0, description="Of one call to S3, repeats included."
    )
    url_expires_seconds: int = Field(
        default=3600, ge=60, le=86_400, description="How long the signed URLs of a pull work."
    )

    # Tokens
    jwt_secret: SecretStr | None = Field(
        default=None, description="Of HS256 tokens: at least 32 bytes (RFC 7518 §3.2)."
    )
    jwt_issuer: str = Field(default="syncapi", description="The 'iss' of HS256 tokens.")
    jwt_audience: str = Field(default="syncapi", description="The 'aud' of HS256 tokens.")
    jwt_leeway: float = Field(default=30, ge=0, description="Clock skew forgiven on exp and nbf.")
    issuers: tuple[IssuerSettings, ...] = Field(
        default=(),
        description="Issuers of RS256 and ES256 tokens: a JSON list of objects with issuer, "
        "audience, algorithm, and jwks_url or jwks_file.",
    )
    jwks_cache_seconds: float = Field(
        default=600, gt=0, description="How long a key set is believed before it is read again."
    )
    membership_cache_seconds: float = Field(
        default=10, ge=0, description="How long a removed member may still be let in."
    )
    cursor_key: SecretStr = Field(description="Signs cursors: at least 32 characters.")
    cursor_previous_keys: tuple[SecretStr, ...] = Field(
        default=(),
        description="Verify cursors too: former keys and the next one, while the key is rotated.",
    )

    # Limits
    upload_max_bytes: int = Field(default=5 * 1024**3, gt=0, description="Of one file.")
    direct_upload_max_bytes: int = Field(
        default=50 * 1024**3, gt=0, le=LARGEST_OBJECT, description="Of a file straight to S3."
    )
    direct_upload_single_bytes: int = Field(
        default=64 * MIB,
        ge=0,
        le=LARGEST_PART,
        description="A larger file goes straight to S3 in parts.",
    )
    direct_upload_part_bytes: int = Field(
        default=16 * MIB,
        ge=LEAST_PART,
        le=LARGEST_PART,
        description="Of a part; larger where a file would have more than 10,000.",
    )
    upload_url_seconds: int = Field(
        default=3600, ge=1, le=604_800, description="A URL to upload to works so long."
    )
    upload_max_seconds: float = Field(
        default=21_600, gt=0, description="An upload by form that takes longer is given up."
    )
    upload_allowed_types: tuple[str, ...] = Field(
        default=("*/*",), description="Media types, also as 'image/*'."
    )
    request_max_bytes: int = Field(default=8 * 1024**2, gt=0, description="Of a JSON body.")
    archives_at_once: int = Field(
        default=32, ge=1, description="Made in one process; a tenant gets a quarter of them."
    )
    archive_stall_seconds: float = Field(
        default=120, gt=0, description="A download whose client takes nothing is cut."
    )
    rate_limit: RateLimit | None = Field(
        default="3000/minute", description="Requests of one member; empty for none."
    )

    # What `syncapi gc` collects
    tombstone_retention_days: float = Field(
        default=90, ge=0, description="Cursors that are older than a collected deletion get 410."
    )
    abandoned_upload_days: float = Field(
        default=1, ge=0, description="Since the last URL of an upload straight to S3 expired."
    )
    unreferenced_file_days: float = Field(
        default=1, ge=0, description="Of bytes that no document and no version refers to."
    )
    history_days: float | None = Field(
        default=None, gt=0, description="Older versions go; a tenant's own settings come first."
    )
    history_versions: int | None = Field(
        default=None, gt=0, description="Of one document; a tenant's own settings come first."
    )
    idempotency_key_hours: float = Field(
        default=24, ge=0, description="Repeats are known by their Idempotency-Key so long."
    )

    # Serving
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=4999, ge=0, le=65_535, description="0 for any that is free.")
    root_path: str = Field(default="", description="The path that a proxy strips.")
    cors_origins: tuple[str, ...] = Field(
        default=(), description="Origins that browsers may call from: a JSON list."
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses or networks whose X-Forwarded-For and -Proto are believed.",
    )
    shutdown_seconds: int = Field(
        default=20, ge=0, description="What requests under way are given when the service stops."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Names of files and the like are said at debug alone."
    )
    log_format: LogFormat = Field(default="json", description="console is for people.")

    @model_validator(mode="after")
    def _issuers_differ(self) -> Self:
        names = [issuer.issuer for issuer in self.issuers]
        if self.jwt_secret is not None:
            names.append(self.jwt_issuer)
        if len(set(names)) < len(names):
            raise ValueError("SYNCAPI_ISSUERS and SYNCAPI_JWT_ISSUER must name each issuer once")
        return self

    @model_validator(mode="after")
    def _uploads_end_before_they_are_collected(self) -> Self:
        if self.unreferenced_file_days * 86_400 < 2 * self.upload_max_seconds:
            raise ValueError(
                "SYNCAPI_UNREFERENCED_FILE_DAYS must be twice SYNCAPI_UPLOAD_MAX_SECONDS at "
                "least: until an upload is done its bytes look unreferenced"
            )
        return self

    @model_validator(mode="after")
    def _strong_secrets(self) -> Self:
        if self.jwt_secret is None and not self.issuers:
            raise ValueError("set SYNCAPI_JWT_SECRET or SYNCAPI_ISSUERS: no user could log in")
        secrets = {"SYNCAPI_JWT_SECRET": self.jwt_secret, "SYNCAPI_CURSOR_KEY": self.cursor_key}
        for name, secret in secrets.items():
            if secret is not None and len(secret.get_secret_value().encode()) < 32:  # noqa: PLR2004
                raise ValueError(f"{name} must have at least 32 bytes: try `openssl rand -hex 32`")
            if secret is not None and secret.get_secret_value().startswith(("-----", "ssh-")):
                raise ValueError(f"{name} is no place for a key pair: try `openssl rand -hex 32`")
        return self
