"""The functions of an app and what triggers each, read from the bindings the runtime library indexed."""

import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from local.host.errors import StartRefused
from local.host.schedule import Schedule, ScheduleRefused
from shared.store.port import PAGE_MAX
from shared.topology import Topology

BATCH_DOCUMENTS_MAX = 100  # the Cosmos trigger's default for maxItemsPerInvocation
_BACKOFF_FLOOR_SECONDS = 0.1


class Metadata(Protocol):
    """`RpcFunctionMetadata`, as far as we read it."""

    name: str
    function_id: str
    raw_bindings: Sequence[str]
    retry_options: Any


@dataclass(frozen=True, slots=True)
class Retry:
    """`@retry`: how often (−1: for ever) and how long after each failure.

    With `minimum_seconds == maximum_seconds` the delay is fixed, else it doubles from the one towards the other.
    """

    max_retry_count: int
    minimum_seconds: float
    maximum_seconds: float

    def allows(self, failures: int) -> bool:
        """Whether another attempt follows the given number of failed ones."""
        return self.max_retry_count < 0 or failures <= self.max_retry_count

    def delay_seconds(self, failures: int) -> float:
        """How long to wait after so many failures (from 1); the growing kind is jittered by a fifth."""
        if self.minimum_seconds == self.maximum_seconds:
            return self.minimum_seconds
        grown = max(self.minimum_seconds, _BACKOFF_FLOOR_SECONDS) * 2.0 ** min(failures - 1, 30)
        return float(min(self.maximum_seconds, grown * random.uniform(0.8, 1.2)))  # noqa: S311 - jitter


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    :param arg: the parameter that receives the trigger's input
    :param id: the runtime library's own id for it
    """

    name: str
    id: str
    arg: str
    retry: Retry | None


@dataclass(frozen=True, slots=True)
class HttpFunction(Function):
    """Triggered by a request; no `methods` means all of them."""

    route: str
    methods: frozenset[str]
    auth_level: str


@dataclass(frozen=True, slots=True)
class QueueFunction(Function):
    """Triggered by one message of a queue, or by a batch."""

    queue: str
    batched: bool


@dataclass(frozen=True, slots=True)
class FeedFunction(Function):
    """Triggered by changes of a container.

    :param poll_seconds: how long to wait after all changes are seen; 0: until the next commit
    """

    container: str
    lease: str
    documents_max: int
    from_beginning: bool
    poll_seconds: float


@dataclass(frozen=True, slots=True)
class TimerFunction(Function):
    """Triggered by the clock."""

    schedule: Schedule
    run_on_startup: bool
    monitored: bool


@dataclass(frozen=True, slots=True)
class Functions:
    """All functions of an app, by kind."""

    http: tuple[HttpFunction, ...]
    queues: tuple[QueueFunction, ...]
    feeds: tuple[FeedFunction, ...]
    timers: tuple[TimerFunction, ...]

    def __len__(self) -> int:
        return len(self.http) + len(self.queues) + len(self.feeds) + len(self.timers)


def read_functions(metadata: Sequence[Metadata], topology: Topology) -> Functions:
    """Sort the indexed functions by trigger.

    :raises StartRefused: a trigger or binding we cannot execute, or an entity `topology.json` does not have
    """
    found = [_read(entry, topology) for entry in metadata if not _disabled(entry.name)]
    return Functions(
        http=tuple(each for each in found if isinstance(each, HttpFunction)),
        queues=tuple(each for each in found if isinstance(each, QueueFunction)),
        feeds=tuple(each for each in found if isinstance(each, FeedFunction)),
        timers=tuple(each for each in found if isinstance(each, TimerFunction)),
    )


def _disabled(name: str) -> bool:
    """https://learn.microsoft.com/azure/azure-functions/disable-function."""
    return os.environ.get(f"AzureWebJobs.{name}.Disabled", "").lower() in ("1", "true")


def _read(entry: Metadata, topology: Topology) -> Function:
    bindings = [json.loads(raw) for raw in entry.raw_bindings]
    for binding in bindings:
        kind = binding["type"]
        if not kind.endswith("Trigger") and kind != "http":
            raise StartRefused(f"Function {entry.name}: the local host does not execute `{kind}` bindings")
    triggers = [binding for binding in bindings if binding["type"].endswith("Trigger")]
    if len(triggers) != 1:
        raise StartRefused(f"Function {entry.name}: needs exactly one trigger, has {len(triggers)}")
    trigger = triggers[0]
    reader = _READERS.get(trigger["type"])
    if reader is None:
        raise StartRefused(
            f"Function {entry.name}: the local host has no `{trigger['type']}`; it has {', '.join(sorted(_READERS))}"
        )
    base = {"name": entry.name, "id": entry.function_id, "arg": trigger["name"], "retry": _retry(entry.retry_options)}
    return reader(base, trigger, topology)


def _http(base: Mapping[str, Any], trigger: Mapping[str, Any], _topology: Topology) -> HttpFunction:
    return HttpFunction(
        **base,
        route=trigger.get("route") or base["name"],
        methods=frozenset(str(method).upper() for method in trigger.get("methods") or ()),
        auth_level=str(trigger.get("authLevel") or "function").lower(),
    )


def _queue(base: Mapping[str, Any], trigger: Mapping[str, Any], topology: Topology) -> QueueFunction:
    queue = _resolved(base["name"], trigger["queueName"])
    if queue not in {known.name for known in topology.queues}:
        raise StartRefused(f"Function {base['name']}: the queue `{queue}` is not in infra/topology.json")
    if trigger.get("isSessionsEnabled"):
        raise StartRefused(f"Function {base['name']}: the local host has no sessions")
    return QueueFunction(**base, queue=queue, batched=str(trigger.get("cardinality") or "one").lower() == "many")


def _feed(base: Mapping[str, Any], trigger: Mapping[str, Any], topology: Topology) -> FeedFunction:
    container = _resolved(base["name"], trigger["containerName"])
    if container not in {known.name for known in topology.containers}:
        raise StartRefused(f"Function {base['name']}: the container `{container}` is not in infra/topology.json")
    prefix = _resolved(base["name"], trigger.get("leaseContainerPrefix") or base["name"])
    return FeedFunction(
        **base,
        container=container,
        lease=f"{prefix}:{container}",
        documents_max=min(int(trigger.get("maxItemsPerInvocation") or BATCH_DOCUMENTS_MAX), PAGE_MAX),
        from_beginning=bool(trigger.get("startFromBeginning")),
        poll_seconds=int(trigger.get("feedPollDelay") or 0) / 1000,
    )


def _timer(base: Mapping[str, Any], trigger: Mapping[str, Any], _topology: Topology) -> TimerFunction:
    try:
        schedule = Schedule(_resolved(base["name"], trigger["schedule"]))
    except ScheduleRefused as error:
        raise StartRefused(f"Function {base['name']}: {error}") from None
    monitored = trigger.get("useMonitor") is not False and schedule.interval_seconds(datetime.now(UTC)) >= 60
    return TimerFunction(
        **base, schedule=schedule, run_on_startup=bool(trigger.get("runOnStartup")), monitored=monitored
    )


_READERS = {"httpTrigger": _http, "serviceBusTrigger": _queue, "cosmosDBTrigger": _feed, "timerTrigger": _timer}


def _retry(options: Any) -> Retry | None:
    if options is None:
        return None
    if options.retry_strategy == "fixed_delay":
        seconds = options.delay_interval.total_seconds()
        return Retry(options.max_retry_count, seconds, seconds)
    return Retry(
        options.max_retry_count, options.minimum_interval.total_seconds(), options.maximum_interval.total_seconds()
    )


def _resolved(function: str, text: str) -> str:
    """`%NAME%` replaced by the setting of that name.

    :raises StartRefused: there is no such setting
    """

    def setting(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in os.environ:
            raise StartRefused(f"Function {function}: the setting {name} (in `{text}`) is not set")
        return os.environ[name]

    return re.sub(r"%([^%\s]+)%", setting, text)
