"""``make soak-client SECONDS=… SEED=…``: sync folders and replicas at random.

Exit codes: 0 all came to rest equal to the server and nothing was lost, 1 not: the log is printed.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

from simulation.decisions import broken_off
from simulation.interruptions import interrupted
from simulation.replicas import simulation as replicas
from simulation.runs import Outcome, Place
from simulation.simulation import simulate
from soak.ground import Ground, ground
from syncapi.server.domain.access import Role
from syncapi.server.factories import database_urls
from syncapi.server.identity.tokens import SecretIssuer, issue
from syncapi.server.postgres.control import ControlStore
from syncapi.server.postgres.databases import Databases
from syncapi.server.postgres.engines import PoolLimits
from syncapi.server.redis.invalidation import Invalidations
from syncapi.server.usecases.tenants import TenantAdministration


def main() -> int:
    """Run seeds one after the other, on servers of their own."""
    options = _options()
    print(f"from seed {options.seed}, {options.seconds} s; starting the servers and syncapi")
    return asyncio.run(_run(options))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak-client", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the first run; the next is one up")
    parser.add_argument("--steps", type=int, default=80, help="of a run")
    parser.add_argument("--devices", type=int, default=3)
    parser.add_argument(
        "--parallel", type=int, default=1, help="transfers at once; not the same run again then"
    )
    parser.add_argument(
        "--evidence", type=Path, default=Path("soak-evidence"), help="folder for what was wrong"
    )
    parser.add_argument(
        "--only", choices=_SIMULATIONS, help="of folders, or of programs with a replica"
    )
    parser.add_argument("--once", action="store_true", help="only the first seed; print its log")
    return parser.parse_args()


async def _run(options: argparse.Namespace) -> int:
    kinds = [options.only] if options.only else list(_SIMULATIONS)
    counts = {what: Counter[str]() for what in kinds}
    runs = 0
    async with ground() as found:
        deadline = time.monotonic() + options.seconds
        while time.monotonic() < deadline:
            seed = options.seed + runs
            for what in kinds:
                outcome = await _one(found, what, seed, options)
                counts[what] += outcome.counts
                if outcome.faults or options.once:
                    print(*outcome.log, sep="\n")
                if outcome.faults:
                    _report(outcome, what, seed, options.evidence)
                    return 1
            runs += 1
            if options.once:
                break
            print(f"  seed {seed}: in step", flush=True)
    print(f"\n{runs} runs of {options.steps} steps, all in step at rest, nothing lost.")
    for what, met in counts.items():
        print(f"{what}:", *(f"{name} {number} " for name, number in met.most_common()))
    return 0


def _report(outcome: Outcome, what: str, seed: int, evidence: Path) -> None:
    print(f"\n{what}, seed {seed}:", *outcome.faults, sep="\n")
    outcome.write(evidence, f"{what} seed {seed}")
    print(f"The evidence is in {evidence}.")


async def _one(found: Ground, what: str, seed: int, options: argparse.Namespace) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="syncapi-simulation-") as folder:
        return await _SIMULATIONS[what](found, Path(folder), seed, options)


async def _folders(found: Ground, folder: Path, seed: int, options: argparse.Namespace) -> Outcome:
    place = await make_place(found)
    outcome = await simulate(
        place,
        folder,
        seed=seed,
        steps=options.steps,
        devices=options.devices,
        parallel=options.parallel,
    )
    if not outcome.faults:
        outcome.faults += await broken_off(await make_place(found), seed)
    if not outcome.faults:
        outcome.faults += await interrupted(await make_place(found), seed)
    return outcome


async def _replicas(
    found: Ground, folder: Path, seed: int, options: argparse.Namespace
) -> Outcome:
    place = await make_place(found)
    return await replicas.simulate(
        place, folder, seed=seed, steps=options.steps, programs=options.devices
    )


_SIMULATIONS = {"folders": _folders, "replicas": _replicas}


async def make_place(found: Ground) -> Place:
    """A tenant with one admin."""
    user_id = uuid4()
    async with Databases(database_urls(found.settings), PoolLimits(size=1)) as databases:
        administration = TenantAdministration(
            ControlStore(databases.control), databases, Invalidations(None)
        )
        tenant = await administration.create(f"Simulation {uuid4()}")
        await administration.add_member(str(tenant.id), user_id, Role.ADMIN)
    secret = found.settings.jwt_secret
    assert secret is not None
    issuer = SecretIssuer(
        found.settings.jwt_issuer, found.settings.jwt_audience, secret.get_secret_value()
    )
    token = issue(issuer, user_id, lifetime=86_400)
    database_url = found.settings.database_url.get_secret_value()
    return Place(next(iter(found.services)), database_url, tenant.id, token, is_own=True)


if __name__ == "__main__":
    sys.exit(main())
