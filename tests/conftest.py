"""For all tests: settings that doubles and hosts, being processes of their own, inherit."""

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
# The gateway's limits, which tests would otherwise reach; those that are about limits set their own.
os.environ.update(UNLIMITED)
# Eight passwords are hashed at each first start of the sign-in double; the test of its timing sets the usual cost.
os.environ["ENTRA_BCRYPT_ROUNDS"] = "4"
