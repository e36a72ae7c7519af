"""The examples do what they say."""

import subprocess
import sys

from fixtures.checkout import CHECKOUT
from fixtures.service import TestTenant
from syncapi.server.domain.access import Role

EXAMPLES = CHECKOUT / "examples"


def test_two_clients_and_a_conflict(tenant: TestTenant, service_url: str) -> None:
    environment = {
        "SYNCAPI_URL": service_url,
        "SYNCAPI_TENANT": str(tenant.id),
        "SYNCAPI_TOKEN": tenant.tokens[Role.ADMIN],
    }
    told = subprocess.run(
        [sys.executable, EXAMPLES / "conflict.py"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout.splitlines()
    assert told == [
        "laptop pushes 'plan of the laptop.txt': applied",
        "phone pushes 'plan of the phone.txt': conflict",
        "  the phone started from 'plan.txt'",
        "  the server has         'plan of the laptop.txt'",
        "  they differ in         filename",
        "phone pushes 'plan of both.txt': applied",
        "laptop has 'plan of both.txt', phone has 'plan of both.txt'",
        "history: plan of both.txt, plan of the laptop.txt, plan.txt",
    ]
