"""A bus whose messages carry on the operation they are sent in; chosen only where telemetry is exported."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from shared.bus.port import DEAD_LETTERS_MAX, DeadLetterPage, ManagedBus, Message, Replay
from shared.telemetry import DIAGNOSTIC_ID, Span, SpanKind, begin, finish


class TracedBus:
    """Sends through `inner`, each message as a span of its own, whose `traceparent` is its property `Diagnostic-Id`.

    A message that has the property already continues that operation: its outbox document told it.
    """

    def __init__(self, inner: ManagedBus) -> None:
        self._inner = inner

    async def publish(self, entity: str, messages: Sequence[Message]) -> None:
        """See `Bus.publish`."""
        sending = [(message, _span(entity, message)) for message in messages]
        clock = time.perf_counter()
        try:
            await self._inner.publish(entity, [_carrying(message, span) for message, span in sending])
        except BaseException as error:
            _finish([span for _, span in sending], clock, error=type(error).__name__)
            raise
        _finish([span for _, span in sending], clock)

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`."""
        return await self._inner.dead_counts()

    async def peek_dead_letters(
        self,
        queue: str,
        *,
        limit: int = DEAD_LETTERS_MAX,
        after: int = 0,
        reason: str | None = None,
        type_name: str | None = None,
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`."""
        return await self._inner.peek_dead_letters(queue, limit=limit, after=after, reason=reason, type_name=type_name)

    async def replay(self, queue: str, replays: Sequence[Replay]) -> Sequence[int]:
        """See `DeadLetters.replay`; a copy keeps the properties of its letter, and so its operation."""
        return await self._inner.replay(queue, replays)

    async def discard(self, queue: str, sequence_numbers: Sequence[int]) -> Sequence[int]:
        """See `DeadLetters.discard`."""
        return await self._inner.discard(queue, sequence_numbers)


def _span(entity: str, message: Message) -> Span | None:
    told = {"component": "Queue Message", "target": entity, "message_id": message.id}
    parent = str(message.properties.get(DIAGNOSTIC_ID, ""))
    return begin(f"send {message.type}", SpanKind.PRODUCER, parent=parent, attributes=told)


def _carrying(message: Message, span: Span | None) -> Message:
    if span is None:
        return message
    return replace(message, properties={**message.properties, DIAGNOSTIC_ID: span.trace_parent})


def _finish(spans: Sequence[Span | None], clock: float, *, error: str = "") -> None:
    seconds = time.perf_counter() - clock
    for span in spans:
        if span is not None:
            span.seconds, span.ok = seconds, not error
            span.attributes |= {"error": error} if error else {}
            finish(span)
