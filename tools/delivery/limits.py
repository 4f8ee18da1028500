"""Limits of the gateway other than the usual ones: whether its policies can be executed with them.

The local host compiles the same policies by the rules of API Management's reference, so it is what is asked.
"""

import json
import re
from pathlib import Path
from typing import Final

from local.host.errors import StartRefused
from local.host.gateway.configuration import NamedValue, read_configuration, variable
from local.host.gateway.gateway import load_gateway
from local.host.http import Front
from local.host.pages import host_pages
from local.host.routes import Routes
from local.host.runtime import Runtime
from local.host.settings import HttpLimits
from local.host.triggers import Functions

POLICIES: Final = Path(__file__).resolve().parents[2] / "infra" / "policies"
_LIMITS: Final = ("-calls", "-bytes", "-seconds", "-retries")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_ANY: Final = "https://nobody.example.org"  # for named values that have no default: none of them is a limit


def refusal(text: str) -> str:
    """Why a JSON object of limits cannot be deployed; empty: it can."""
    declared = read_configuration(POLICIES).named_values
    allowed = {name for name, value in declared.items() if name.endswith(_LIMITS) and not value.setting}
    given = _object(text)
    if given is None:
        return 'it is a JSON object of whole numbers as texts, e.g. {"person-calls": "1200"}'
    if unknown := sorted(given.keys() - allowed):
        return f"{unknown[0]} is no limit; there are {', '.join(sorted(allowed))}"
    for name, value in given.items():  # one by one first, so that it is clear whose value is refused
        if why := _executed(declared, {name: value}):
            return f"{name}: {why}"
    return _executed(declared, given)


def _object(text: str) -> dict[str, str] | None:
    try:
        given = json.loads(text)
    except ValueError:
        return None
    if not isinstance(given, dict):
        return None
    good = all(isinstance(value, str) and _NUMBER.fullmatch(value) for value in given.values())
    return given if good else None


def _executed(declared: dict[str, NamedValue], limits: dict[str, str]) -> str:
    """Why the policies cannot be executed with these; empty: they can."""
    needed = {variable(name, value): _ANY for name, value in declared.items() if value.default is None}
    told = {variable(name, declared[name]): value for name, value in limits.items()}
    none = host_pages(Functions((), (), (), ()), None)
    nobody = Front(Routes((), "api"), Runtime(1.0), HttpLimits(), body_bytes_max=1, pages=none)
    try:
        load_gateway(POLICIES, nobody, (), {**needed, **told})
    except StartRefused as refused:
        return str(refused)
    return ""
