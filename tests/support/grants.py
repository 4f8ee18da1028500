"""What functions asked the store for, against what their service is granted on Azure (`infra/services.json`)."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from local.describe import described
from local.package import ROOT

_CALL: Final = re.compile(
    r'^tessera_store_calls_total{container="(?P<container>\w+)",kind="(?P<kind>\w+)",'
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


def overstepped(metrics: str) -> list[str]:
    """Calls that Azure would refuse somewhere, as `service: function kind container`."""
    calls = asked(metrics)
    assert calls or "store_calls_total{" not in metrics, "the pattern of these lines has changed"
    return sorted(
        f"{service}: {function} {kind} {container}"
        for function, container, kind in calls
        for service in owners()[function]
        if container not in _allowed(service, kind)
    )


def _allowed(service: str, kind: str) -> set[str]:
    granted = services()[service]
    return {*granted["writes"]} if kind == "write" else {*granted["writes"], *granted["reads"]}
