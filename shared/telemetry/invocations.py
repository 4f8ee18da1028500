"""One call of a function, whatever triggered it: its use case, its duration by outcome, its span."""

import time
from collections.abc import Mapping
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from shared.telemetry.context import correlation, use_case
from shared.telemetry.metrics import observe
from shared.telemetry.tracing import Attribute, Span, SpanKind, begin, enter, finish, leave

OK: Final = "ok"
REFUSED: Final = "refused"  # an answer of 400 to 499
POSTPONED: Final = "postponed"  # a message whose copy comes later
FAILED: Final = "failed"


class Invocation:
    """Measures the block it surrounds; every request passes here, so it is a plain class and does little.

    :param function: its name as an Azure function; the `use_case` of everything within
    :param parent: the `traceparent` its host tells of, or empty; see `begin`
    :param attributes: of its span
    """

    __slots__ = ("_attributes", "_clock", "_function", "_kind", "_parent", "_span", "_tokens", "outcome")

    def __init__(self, function: str, kind: SpanKind, parent: str, attributes: Mapping[str, Attribute]) -> None:
        self._function = function
        self._kind = kind
        self._parent = parent
        self._attributes = attributes
        self._span: Span | None = None
        self.outcome = OK

    def __enter__(self) -> Self:
        self._span = begin(self._function, self._kind, parent=self._parent, attributes=self._attributes)
        self._tokens: tuple[Token[str], Token[Span | None] | None] = (
            use_case.set(self._function),
            enter(self._span) if self._span is not None else None,
        )
        self._clock = time.perf_counter()
        return self

    def answered(self, status: int) -> None:
        """Take the outcome from an HTTP status."""
        self.outcome = OK if status < 400 else REFUSED if status < 500 else FAILED
        if self._span is not None:
            self._span.attributes["http.status_code"] = status

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        seconds = time.perf_counter() - self._clock
        if kind is not None:
            self.outcome = FAILED
        observe("function_seconds", seconds, self._function, self.outcome)
        entered, spanned = self._tokens
        use_case.reset(entered)
        if self._span is None or spanned is None:
            return
        leave(spanned)
        span = self._span
        span.seconds, span.ok = seconds, self.outcome != FAILED
        span.attributes["outcome"] = self.outcome
        span.attributes["correlation_id"] = correlation.get()
        if kind is not None:
            span.attributes["error"] = kind.__name__
        finish(span)
