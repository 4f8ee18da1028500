"""Limits of the gateway other than the usual ones: whether its policies can be executed with them.

The local host compiles the same policies by the rules of API Management's reference, so it is what is asked.
"""

import json
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
_ANY: Final = "https://nobody.example.org"  # for named values that have no default: none of them is a limit


def limits(text: str) -> str:
    """A JSON object of limits, as it was given.

    :raises ValueError: it is none, has one that is not a limit, or a value with which a policy cannot be executed
    """
    declared = read_configuration(POLICIES).named_values
    allowed = {name: value for name, value in declared.items() if name.endswith(_LIMITS) and not value.setting}
    given = json.loads(text)
    if not isinstance(given, dict) or not all(isinstance(value, str) and value.isdecimal() for value in given.values()):
        raise ValueError('it is a JSON object of numbers as texts, e.g. {"person-calls": "1200"}')
    if unknown := sorted(given.keys() - allowed.keys()):
        raise ValueError(f"{unknown[0]} is no limit; there are {', '.join(sorted(allowed))}")
    for name, value in given.items():  # one by one, so that it is clear whose value is refused
        if why := _refused(declared, name, value):
            raise ValueError(f"{name}: {why}")
    return text


def _refused(declared: dict[str, NamedValue], name: str, value: str) -> str:
    """Why the policies cannot be executed with it; empty: they can."""
    needed = {variable(other, about): _ANY for other, about in declared.items() if about.default is None}
    none = host_pages(Functions((), (), (), ()), None)
    nobody = Front(Routes((), "api"), Runtime(1.0), HttpLimits(), body_bytes_max=1, pages=none)
    try:
        load_gateway(POLICIES, nobody, (), {**needed, variable(name, declared[name]): value})
    except StartRefused as refused:
        return str(refused)
    return ""
