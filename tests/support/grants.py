"""What functions asked the store for and sent, against what `infra/services.json` grants their service on Azure."""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from local.describe import described
from local.package import ROOT

_CALL: Final = re.compile(
    r'^tessera_store_calls_total{container="(?P<container>\w+)",kind="(?P<kind>\w+)",'
    r'(?:process="[^"]*",)?use_case="(?P<function>\w+)"', re.MULTILINE
)  # fmt: skip
_SENT: Final = re.compile(
    r'^tessera_messages_sent_total{destination="(?P<destination>\w+)",'
    r'(?:process="[^"]*",)?use_case="(?P<function>\w+)"', re.MULTILINE
)  # fmt: skip


@cache
def services() -> Mapping[str, Any]:
    """What each service is granted."""
    found: dict[str, Any] = json.loads((ROOT / "infra" / "services.json").read_text())
    return found


@cache
def owners() -> Mapping[str, frozenset[str]]:
    """Function → the services that have it."""
    return described().services


def asked(metrics: str) -> set[tuple[str, str, str]]:
    """Function, container and kind of every call of the store that a process tells of."""
    return {(found["function"], found["container"], found["kind"]) for found in _CALL.finditer(metrics)}


def sent(metrics: str) -> set[tuple[str, str]]:
    """Function and destination of every message that a process tells of."""
    return {(found["function"], found["destination"]) for found in _SENT.finditer(metrics)}


def overstepped(metrics: str) -> list[str]:
    """Calls and sendings that Azure would refuse somewhere, as `service: function kind container`."""
    return sorted([*_calls(metrics), *_sendings(metrics)])


def _calls(metrics: str) -> Iterator[str]:
    calls = asked(metrics)
    assert calls or "store_calls_total{" not in metrics, "the pattern of these lines has changed"
    for function, container, kind in calls:
        for service in owners()[function]:
            if container not in _allowed(service, kind):
                yield f"{service}: {function} {kind} {container}"


def _sendings(metrics: str) -> Iterator[str]:
    sendings = sent(metrics)
    assert sendings or "messages_sent_total{" not in metrics, "the pattern of these lines has changed"
    for function, destination in sendings:
        for service in owners()[function]:
            if destination not in services()[service]["sends"]:
                yield f"{service}: {function} sends {destination}"


def _allowed(service: str, kind: str) -> set[str]:
    granted = services()[service]
    return {*granted["writes"]} if kind == "write" else {*granted["writes"], *granted["reads"]}
