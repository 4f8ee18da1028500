"""host.json: the host passes over in silence what it does not know, so a schema refuses it."""

import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from local.host.settings import duration_seconds
from shared.bus.servicebus_client import CALL_SECONDS_MAX
from shared.mail.smtp import SEND_SECONDS_MAX
from shared.web.triggers import COPY_PAUSE_SECONDS, COPY_TRIES_MAX

ROOT: Final = Path(__file__).parents[2]
# The longest that a function waits for others: for a mail server that does not take a mail, and then for the bus to
# take the message back, each try and each pause as long as may be (`shared.web.triggers`).
LONGEST_SECONDS: Final = SEND_SECONDS_MAX + COPY_TRIES_MAX * (CALL_SECONDS_MAX + 1.5 * COPY_PAUSE_SECONDS)
SCHEMA: Final = json.loads((Path(__file__).parent / "schemas" / "host.json").read_text())


def problems(host: Any) -> list[str]:
    """What speaks against a host.json."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(host)]
    if found:
        return found
    if duration_seconds(host["functionTimeout"]) < LONGEST_SECONDS:
        found.append(f"a function is ended within the {LONGEST_SECONDS:.0f} seconds that it may need")
    renewed = host["extensions"]["serviceBus"]["maxAutoLockRenewalDuration"]
    if duration_seconds(renewed) < duration_seconds(host["functionTimeout"]):
        found.append("a message's lock may lapse while its function still runs, and it is delivered twice")
    if host["extensions"]["http"]["maxConcurrentRequests"] > host["extensions"]["http"]["maxOutstandingRequests"]:
        found.append("more requests at once than may wait")
    return found


def host() -> Any:
    return json.loads((ROOT / "host.json").read_text())


def test_our_host_json_says_what_the_host_understands() -> None:
    assert problems(host()) == []


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("version",), "3.0", "'2.0' was expected"),
        (("functionTimeout",), "5 minutes", "does not match"),
        (("functionTimeout",), "00:00:05", "a function is ended within the 170 seconds"),
        (("extensions", "serviceBus", "messageHandlerOptions"), {"maxConcurrentCalls": 16}, "messageHandlerOptions"),
        (("extensions", "serviceBus", "autoComplete"), True, "autoComplete"),
        (("extensions", "serviceBus", "maxConcurrentCalls"), "16", "is not of type 'integer'"),
        (("extensions", "cosmosDb"), {}, "cosmosDb"),
        (("extensions", "http", "routePrefix"), "/api", "does not match"),
        (("extensionBundle", "version"), "[2.*, 3.0.0)", "does not match"),
        (("logging", "logLevel", "Function"), "Info", "'Info' is not one of"),
        (("logging", "applicationInsights", "samplingSettings", "excludedTypes"), "Requests", "does not match"),
        (("logging", "samplingSettings"), {}, "samplingSettings"),
        (("tracing",), {}, "tracing"),
        (("extensions", "serviceBus", "maxAutoLockRenewalDuration"), "00:01:00", "delivered twice"),
        (("extensions", "http", "maxOutstandingRequests"), 100, "may wait"),
    ],
)
def test_what_the_host_would_pass_over_or_stumble_over_is_found(path: tuple[str, ...], value: Any, found: str) -> None:
    broken = host()
    part = broken
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    assert [problem for problem in problems(broken) if found in problem] != []
