"""The other triggers, declared in one place so that all are alike.

Change feeds retry for ever. Messages: a message cannot be settled from Python and an exception redelivers it at once,
without a pause; so transient trouble schedules a copy of the message to the consumer's own queue and returns. Anything
else raises, is redelivered `max_delivery_count` times, and ends among the dead letters.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import azure.functions as func
from pydantic import BaseModel, ValidationError

from shared.breaker import OPEN_SECONDS
from shared.bus.port import Bus, BusUnavailable, Message
from shared.kernel.clock import utc_now
from shared.kernel.errors import Contended, DependencyUnavailable
from shared.store.port import Busy, Unavailable
from shared.telemetry import DIAGNOSTIC_ID, POSTPONED, Attribute, Invocation, Log, SpanKind, correlation, count, observe
from shared.topology import topology

FEED_BATCH_MAX: Final = 100
STORE_CONNECTION: Final = "COSMOS"
BUS_CONNECTION: Final = "SERVICEBUS"
POSTPONED_MAX: Final = 30  # for what may never come: 1, 2, 4 … 60 seconds apart, about 25 minutes in all
POSTPONE_SECONDS_MAX: Final = 60
COPY_TRIES_MAX: Final = 8  # of sending a copy; with 10 s for each and the pauses between about two minutes
COPY_PAUSE_SECONDS: Final = OPEN_SECONDS  # at least; as long as a breaker stays open, and up to half as much more
_log = Log("bus")


class NotYet(Exception):
    """What the message speaks of is not there yet, or a neighbour is away: later, please."""


TRANSIENT: Final = (Busy, Unavailable, BusUnavailable, DependencyUnavailable, Contended, NotYet)

type FeedHandler = Callable[[func.DocumentList], Awaitable[None]]


type Consumer[M: BaseModel] = Callable[[M, datetime], Awaitable[None]]  # the message, and when its delivery began


def _blueprint() -> func.Blueprint:
    return func.Blueprint()  # type: ignore[no-untyped-call]  # the SDK leaves it bare


def change_feed(
    handler: FeedHandler, *, container: str, lease: str, poll_seconds: float | None = None
) -> func.Blueprint:
    """A trigger on the changes of a container, from its beginning.

    Without a retry policy the lease would move on past a failed batch and the changes be lost
    (https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages), so it is retried without limit.

    :param lease: constant prefix of the trigger's leases; changing it replays the whole container
    :param poll_seconds: how long to wait after all changes are seen before looking again: of what changes often, only
        the last version is seen then. Default: Azure's five seconds; at once on the local host
    """
    blueprint = _blueprint()

    async def run(documents: func.DocumentList, context: func.Context) -> None:
        told: dict[str, Attribute] = {"container": container, "documents": len(documents)}
        with Invocation(handler.__name__, SpanKind.CONSUMER, context.trace_context.trace_parent, told):
            await handler(documents)

    run.__name__ = handler.__name__
    retried = blueprint.retry(
        strategy="exponential_backoff",
        max_retry_count="-1",
        minimum_interval="00:00:01",
        maximum_interval="00:01:00",
    )(run)
    blueprint.cosmos_db_trigger(
        arg_name="documents",
        connection=STORE_CONNECTION,
        database_name=topology().database,
        container_name=container,
        lease_container_name="leases",
        lease_container_prefix=lease,
        start_from_beginning=True,  # type: ignore[arg-type]  # the SDK annotates this flag as a time
        max_items_per_invocation=FEED_BATCH_MAX,
        feed_poll_delay=None if poll_seconds is None else int(poll_seconds * 1000),
    )(retried)
    return blueprint


def parsed[M: BaseModel](documents: func.DocumentList, *, kind: str, model: type[M]) -> list[M]:
    """The documents of one kind among changed ones.

    One that cannot be parsed is logged, counted (`feed_documents_unreadable`) and left out: raising would give the same
    batch again for ever, and everything behind it would wait.
    """
    found = []
    for document in documents:
        if document.get("kind") != kind:
            continue
        try:
            found.append(model.model_validate(dict(document)))
        except ValidationError as error:
            count("feed_documents_unreadable")
            _log.error("feed_document_unreadable", error=error, kind=kind, document=document.get("id"))
    return found


def queue_consumer[M: BaseModel](handler: Consumer[M], *, queue: str, message: type[M], bus: Bus) -> func.Blueprint:
    """A trigger on a queue; a message that cannot be parsed raises, and so ends among the dead letters.

    :param message: the model of the body
    :param bus: where copies go when there is transient trouble
    """
    blueprint = _blueprint()
    told = {"queue": queue}

    async def run(msg: func.ServiceBusMessage, context: func.Context) -> None:
        now = utc_now()
        _tell_wait(msg, queue, now)
        token = correlation.set(msg.correlation_id or "")
        try:
            with Invocation(handler.__name__, SpanKind.CONSUMER, _trace_parent(msg, context), told) as invocation:
                try:
                    parsed = message.model_validate_json(msg.get_body())
                    await handler(parsed, now)
                except TRANSIENT as trouble:
                    invocation.outcome = POSTPONED
                    await _postpone(msg, queue, bus, trouble)
        finally:
            correlation.reset(token)

    run.__name__ = handler.__name__
    blueprint.service_bus_queue_trigger(arg_name="msg", queue_name=queue, connection=BUS_CONNECTION)(run)
    return blueprint


def timer(handler: Callable[[datetime], Awaitable[None]], *, schedule: str) -> func.Blueprint:
    """A timer.

    :param schedule: NCRONTAB, six fields from seconds to day of week, UTC
    """
    blueprint = _blueprint()

    async def run(timer: func.TimerRequest, context: func.Context) -> None:
        with Invocation(handler.__name__, SpanKind.CONSUMER, context.trace_context.trace_parent, {}):
            await handler(utc_now())

    run.__name__ = handler.__name__
    blueprint.timer_trigger(arg_name="timer", schedule=schedule, run_on_startup=False, use_monitor=True)(run)
    return blueprint


def _tell_wait(msg: func.ServiceBusMessage, queue: str, now: datetime) -> None:
    """How long the message was on its queue; one that was scheduled is there from the moment at which it is due.

    https://learn.microsoft.com/azure/service-bus-messaging/message-sequencing: it is as if it came at that instant. The
    host hands the time over without its zone, which is UTC.
    """
    enqueued = msg.enqueued_time_utc
    if enqueued is not None:
        waited = now - (enqueued if enqueued.tzinfo is not None else enqueued.replace(tzinfo=UTC))
        observe("queue_seconds", max(0.0, waited.total_seconds()), queue)


def _trace_parent(msg: func.ServiceBusMessage, context: func.Context) -> str:
    """What the message continues: as its sender told it, since the host's own span in between may not be collected."""
    told = (msg.application_properties or {}).get(DIAGNOSTIC_ID)
    return str(told) if told else context.trace_context.trace_parent


async def _postpone(msg: func.ServiceBusMessage, queue: str, bus: Bus, trouble: Exception) -> None:
    """Schedule a copy of `msg` to its consumer's queue, each time later.

    A neighbour that is away is waited for without limit, since giving up would lose what it is owed. What is not there
    yet may never come (a payment for an order we do not know): after `POSTPONED_MAX` copies it is a dead letter.
    """
    properties = msg.application_properties or {}
    attempt = int(properties.get("postponed", 0)) + 1
    if attempt > POSTPONED_MAX and isinstance(trouble, NotYet):
        raise trouble
    original = str(properties.get("original_id") or msg.message_id)
    pause = min(2 ** (attempt - 1), POSTPONE_SECONDS_MAX)
    kept = {name: value for name, value in properties.items() if name != "type"}  # which the message says itself
    _log.warning("postponed", queue=queue, message_id=original, attempt=attempt, seconds=pause, reason=repr(trouble))
    copy = Message(
        id=f"{original}:{queue}:{attempt}",
        type=str(properties.get("type", "")),
        body=msg.get_body(),
        correlation_id=msg.correlation_id or "",
        due_at=utc_now() + timedelta(seconds=pause),
        properties={**kept, "postponed": attempt, "original_id": original},
    )
    await _insist(bus, queue, copy)


async def _insist(bus: Bus, queue: str, copy: Message) -> None:
    """Send `copy`, again where the bus does not answer.

    Raising at once would have the message delivered again at once, and dead in milliseconds. Meanwhile the host renews
    its lock (`maxAutoLockRenewalDuration`), and all tries end within `functionTimeout`.

    :raises BusUnavailable: the last of `COPY_TRIES_MAX` times too
    """
    import tenacity

    await tenacity.AsyncRetrying(
        stop=tenacity.stop_after_attempt(COPY_TRIES_MAX),
        wait=tenacity.wait_random(COPY_PAUSE_SECONDS, 1.5 * COPY_PAUSE_SECONDS),
        retry=tenacity.retry_if_exception_type(BusUnavailable),
        reraise=True,
    )(bus.publish, queue, [copy])
