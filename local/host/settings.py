"""What the host is told: `host.json`, `local.settings.json` and the command line.

Sources: https://learn.microsoft.com/azure/azure-functions/functions-host-json and
https://learn.microsoft.com/azure/azure-functions/functions-develop-local#local-settings-file
"""

import json
import logging
import os
import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from local.host.errors import StartRefused

log = logging.getLogger("local.host")

BODY_BYTES_MAX = 104_857_600  # https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook#limits
SHUTDOWN_SECONDS = 10.0
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 10,
}


def duration_seconds(text: str) -> float:
    """The seconds in a .NET time span, `[d.]hh:mm:ss[.fff]`; `-1` (no limit) is infinity.

    :raises ValueError: the text is neither
    """
    if text.strip() == "-1":
        return float("inf")
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)", text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration like 00:05:00")
    days, hours, minutes, seconds = match.groups(default="0")
    return int(days) * 86_400 + int(hours) * 3_600 + int(minutes) * 60 + float(seconds)


type Duration = Annotated[float, BeforeValidator(lambda value: duration_seconds(str(value)))]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="ignore", populate_by_name=True)


class HttpLimits(_Part):
    """`extensions.http`; -1 means no bound, as on Azure."""

    route_prefix: str = "api"
    max_concurrent_requests: int = 100
    max_outstanding_requests: int = 200


class ServiceBusLimits(_Part):
    """`extensions.serviceBus`; lock time and delivery count belong to the queues, in `infra/topology.json`."""

    max_concurrent_calls: Annotated[int, Field(ge=1)] = 16
    max_message_batch_size: Annotated[int, Field(ge=1)] = 1000
    max_auto_lock_renewal_duration: Duration = 300.0
    auto_complete_messages: Literal[True] = True  # Python cannot settle a message itself


class Extensions(_Part):
    """The extensions this host knows; others are named in a warning."""

    http: HttpLimits = HttpLimits()
    service_bus: ServiceBusLimits = ServiceBusLimits()


class Logging(_Part):
    """`logging`; only the default level matters on a laptop."""

    log_level: dict[str, str] = Field(default_factory=dict)

    @property
    def level(self) -> int:
        """The default level as `logging` numbers it."""
        return _LEVELS.get(self.log_level.get("default", "Information").lower(), logging.INFO)


class HostJson(_Part):
    """`host.json`, as far as a local host can honour it."""

    version: Literal["2.0"]
    function_timeout: Duration = 1_800.0
    logging: Logging = Logging()
    extensions: Extensions = Extensions()


@dataclass(frozen=True, slots=True)
class Options:
    """The command line.

    :param app: the folder with `function_app.py` and `host.json`
    :param data: where `store.db`, `bus.db` and `host.db` lie
    :param port: TCP port on 127.0.0.1; 0 takes any free one
    :param pages: `module:attribute` of a Starlette application with pages beside the functions
    :param gateway: whether the policies in `infra/policies` of the app are executed in front of it
    """

    app: Path
    data: Path
    port: int = 7071
    workers: int = 1
    quiet: bool = False
    pages: str | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    gateway: bool = True


def read_host_json(app: Path) -> HostJson:
    """The app's `host.json`.

    :raises StartRefused: it is missing, not JSON, not version 2.0 or holds an impossible value
    """
    path = app / "host.json"
    raw = _read_json(path)
    try:
        return HostJson.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise StartRefused(f"{path}: {problems}") from None


def warn_of_unknown_extensions(app: Path) -> None:
    """Log what `host.json` sets for extensions that this host does not have.

    :raises StartRefused: it is missing or not JSON
    """
    known = {to_camel(name) for name in Extensions.model_fields}
    for name in sorted(set(_read_json(app / "host.json").get("extensions", {})) - known):
        log.warning("host.json: extensions.%s is not known to the local host and ignored", name)


def load_local_settings(app: Path, environment: MutableMapping[str, str] = os.environ) -> int:
    """Put the `Values` of `local.settings.json`, when there is one, into the environment, overriding nothing.

    :returns: how many were new
    :raises StartRefused: the file is encrypted, not JSON, or a value is not text
    """
    path = app / "local.settings.json"
    if not path.exists():
        return 0
    raw = _read_json(path)
    if raw.get("IsEncrypted"):
        raise StartRefused(f"{path}: encrypted settings cannot be read here; run `func settings decrypt`")
    values = raw.get("Values", {})
    wrong = sorted(name for name, value in values.items() if not isinstance(value, str))
    if wrong:
        raise StartRefused(f"{path}: Values must be strings, these are not: {', '.join(wrong)}")
    new = {name: value for name, value in values.items() if name not in environment}
    environment.update(new)
    return len(new)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StartRefused(f"{path} is missing") from None
    except ValueError as error:
        raise StartRefused(f"{path} is not JSON: {error}") from None
    if not isinstance(raw, dict):
        raise StartRefused(f"{path} must hold a JSON object")
    return raw
