"""``syncapi tenant limits``: how much of a tenant's history is kept."""

from collections.abc import Mapping
from typing import Annotated, Final

import typer

from syncapi.cli.output import print_json, print_table
from syncapi.cli.server.arguments import AsJson, TenantReference
from syncapi.cli.server.operation import administer
from syncapi.cli.server.settings_loading import load_settings
from syncapi.server.domain.retention import HISTORY_DAYS, HISTORY_VERSIONS, HistoryLimit
from syncapi.server.factories import retention

UNLIMITED: Final = "unlimited"
DEFAULT: Final = "default"

_VALUES = f"a number, '{UNLIMITED}', or '{DEFAULT}' for the setting of the service"

Limits = Mapping[str, float | None]


def limits(
    tenant: TenantReference,
    history_days: Annotated[
        str | None, typer.Option(metavar="DAYS", help=f"Older versions go: {_VALUES}.")
    ] = None,
    history_versions: Annotated[
        str | None, typer.Option(metavar="NUMBER", help=f"Of one document: {_VALUES}.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the limits of a tenant's history that are in force, after setting those given.

    `syncapi gc` collects what is beyond them, the next time it runs. The newest version of a live
    document always stays.
    """
    given = {HISTORY_DAYS: history_days, HISTORY_VERSIONS: history_versions}
    asked = {name: text.strip().lower() for name, text in given.items() if text is not None}
    own = {name: _value(name, text) for name, text in asked.items() if text != DEFAULT}
    unset = [name for name in asked if name not in own]
    changed = (
        administer(lambda admin: admin.limit_history(tenant, own, unset))
        if asked
        else administer(lambda admin: admin.find(tenant))
    )
    in_force = retention(load_settings()).history_limits(changed.settings)
    if as_json:
        print_json(
            {
                "tenant": changed.slug,
                "tenant_id": changed.id,
                "limits": {
                    limit.name: {"value": limit.value, "source": _source(limit)}
                    for limit in in_force
                },
            }
        )
    else:
        records = [_record(limit) for limit in in_force]
        print_table(records, ("limit", "value", "source"), empty="")


def _value(name: str, text: str) -> float | None:
    """What the option says.

    Raises:
        typer.BadParameter: it is no number and none of the words.
    """
    if text == UNLIMITED:
        return None
    try:
        return int(text) if name == HISTORY_VERSIONS or text.isdecimal() else float(text)
    except ValueError:
        kind = "a whole number" if name == HISTORY_VERSIONS else "a number"
        message = f"write {kind}, '{UNLIMITED}' or '{DEFAULT}', not {text!r}"
        raise typer.BadParameter(message, param_hint=f"--{name.replace('_', '-')}") from None


def _source(limit: HistoryLimit) -> str:
    return "tenant" if limit.is_own else "service"


def _record(limit: HistoryLimit) -> dict[str, str]:
    value = UNLIMITED if limit.value is None else str(limit.value).removesuffix(".0")
    whose = "the tenant's own" if limit.is_own else f"SYNCAPI_{limit.name.upper()}"
    return {"limit": limit.name, "value": value, "source": whose}
