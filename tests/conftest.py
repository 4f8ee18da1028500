"""For all tests: the gateway's limits, which they would otherwise reach; those that are about limits set their own."""

import os
from typing import Final

UNLIMITED: Final = {
    "GATEWAY_PERSON_CALLS": "1000000",
    "GATEWAY_SERVICE_CALLS": "1000000",
    "GATEWAY_ADDRESS_CALLS": "1000000",
    "GATEWAY_REFUSED_CALLS": "1000000",
    "GATEWAY_WEBHOOK_CALLS": "1000000",
    "GATEWAY_PRIVATE_CALLS": "1000000",
}
# Hosts are processes of their own, and inherit them.
os.environ.update(UNLIMITED)
