"""For all tests: settings that doubles and hosts, being processes of their own, inherit; and how Hypothesis behaves."""

import os
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from tests.support import groups

UNLIMITED: Final = {
    "GATEWAY_PERSON_CALLS": "1000000",
    "GATEWAY_SERVICE_CALLS": "1000000",
    "GATEWAY_ADDRESS_CALLS": "1000000",
    "GATEWAY_REFUSED_CALLS": "1000000",
    "GATEWAY_WEBHOOK_CALLS": "1000000",
    "GATEWAY_PRIVATE_CALLS": "1000000",
}
# The gateway's limits, which tests would otherwise reach; those that are about limits set their own.
os.environ.update(UNLIMITED)
# Eight passwords are hashed at each first start of the sign-in double; the test of its timing sets the usual cost.
os.environ["ENTRA_BCRYPT_ROUNDS"] = "4"

# How long an example takes says how busy the machine is, and speed is measured in `bench`: so there are no deadlines.
# The examples are the same in each run, so that whether a change passes is not a matter of luck; `make torture` draws
# others each time (it names its seed), and is where rare ones are to be found.
settings.register_profile(
    "tessera",
    deadline=None,
    database=None,
    derandomize="TORTURE_SEED" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tessera")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> groups.Together | None:
    """Which tests run in one process."""
    return groups.scheduler(config, log)
