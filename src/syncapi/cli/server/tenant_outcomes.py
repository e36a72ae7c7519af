"""The end of a verb that works on several tenants: it names those that failed."""

from collections.abc import Sequence
from typing import Protocol

from syncapi.cli.exit_codes import CommandFailed
from syncapi.server.domain.tenancy import Tenant


class TenantOutcome(Protocol):
    """The result for one tenant; ``error`` is None if it did not fail."""

    @property
    def tenant(self) -> Tenant: ...

    @property
    def error(self) -> str | None: ...


def expect_none_failed(outcomes: Sequence[TenantOutcome]) -> None:
    """End the verb if a tenant failed.

    Raises:
        CommandFailed: names each tenant that failed, its database and the reason.
    """
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if failed:
        named = "\n".join(
            f"  {one.tenant.slug} ({one.tenant.database}): {one.error}" for one in failed
        )
        raise CommandFailed(f"{len(failed)} of {len(outcomes)} tenants failed:\n{named}")
