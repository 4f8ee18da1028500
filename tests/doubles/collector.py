"""An exporter that keeps what it is given."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.telemetry import BusinessEvent, Span, export_to


class Collector:
    """Spans and events, in the order they ended."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.events: list[BusinessEvent] = []

    def span(self, span: Span) -> None:
        """See `Exporter.span`."""
        self.spans.append(span)

    def event(self, event: BusinessEvent) -> None:
        """See `Exporter.event`."""
        self.events.append(event)

    def close(self, seconds: float) -> None:
        """See `Exporter.close`."""

    def named(self, name: str) -> Span:
        """The one span of that name."""
        [found] = [span for span in self.spans if span.name == name]
        return found


@contextmanager
def collecting(*, sampling_ratio: float = 1.0) -> Iterator[Collector]:
    """Collect within the block."""
    collector = Collector()
    export_to(collector, sampling_ratio=sampling_ratio)
    try:
        yield collector
    finally:
        export_to(None)
