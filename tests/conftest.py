"""For all tests: settings that doubles and hosts, being processes of their own, inherit."""

import os
from typing import Final

import pytest
from _pytest.nodeid import NodeId

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


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell xdist of the groups whose tests share a Tessera or a machine: `tests/unit/test_groups.py` sees that it heeds
    them.

    xdist 3.8 writes them where pytest 9.2 no longer looks, and says nothing of it
    (https://github.com/pytest-dev/pytest-xdist/issues/1386); this can go once that is mended.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    for item in items:
        group = item.get_closest_marker("xdist_group")
        if group is not None and not item.nodeid.endswith(suffix := f"@{group.args[0]}"):
            item._id = NodeId.parse(item.nodeid + suffix)
