"""``make test-clients``: clients generated from openapi.json, against the running service.

Each is generated, checked by its language's own checker of types, and run through one scenario in
a tenant of its own. Java and Node are needed; what they are missing for is said, and skipped.

Exit codes: 0 every client that could be made is sound, 1 one is not: what it printed is shown.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from clients.generators import CLIENTS, GeneratedClient
from clients.toolbox import Toolbox
from soak.ground import ground
from soak.world import Member, World, open_world

_WORKBENCH = Path(".syncapi/clients")


def main() -> int:
    """Make and try every client, one after the other."""
    options = _options()
    toolbox = Toolbox(_WORKBENCH.resolve())
    possible = [client for client in options.clients if _is_possible(client, toolbox)]
    if not possible:
        return 0
    try:
        for client in possible:
            _make(client, toolbox)
        asyncio.run(_try(possible, toolbox))
    except subprocess.CalledProcessError as error:
        print(f"\nerror: exit code {error.returncode} of: {' '.join(map(str, error.cmd))}")
        return 1
    print(f"\n{len(possible)} of {len(options.clients)} clients are sound")
    return 0


def _options() -> argparse.Namespace:
    known = {client.name: client for client in CLIENTS}
    parser = argparse.ArgumentParser(prog="make test-clients", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(known)}")
    options = parser.parse_args()
    for name in options.names:
        if name not in known:
            parser.error(f"there is no client {name!r}: choose from {', '.join(known)}")
    options.clients = [known[name] for name in options.names or known]
    return options


def _is_possible(client: GeneratedClient, toolbox: Toolbox) -> bool:
    missing = dict.fromkeys(need.label for need in client.needs if not toolbox.has(need))
    if missing:
        print(f"skipped: {client.name} needs {' and '.join(missing)}", flush=True)
    return not missing


def _make(client: GeneratedClient, toolbox: Toolbox) -> None:
    print(f"{client.name}: generating, checking types", flush=True)
    client.make(toolbox)


async def _try(clients: list[GeneratedClient], toolbox: Toolbox) -> None:
    async with ground() as found, AsyncExitStack() as stack:
        world = await open_world([*found.services], found.settings, stack, tenants=len(clients))
        for client, tenant in zip(clients, world.tenants, strict=True):
            print(f"{client.name}:", flush=True)
            environment = _access(world, await world.member(tenant))
            await asyncio.to_thread(client.run, toolbox, environment)


def _access(world: World, member: Member) -> dict[str, str]:
    """The environment that leads a scenario to its tenant, past any proxy."""
    return {
        **os.environ,
        "NO_PROXY": "127.0.0.1",
        "SYNCAPI_URL": world.urls[0],
        "SYNCAPI_TENANT": str(member.tenant_id),
        "SYNCAPI_TOKEN": member.token,
    }


if __name__ == "__main__":
    sys.exit(main())
