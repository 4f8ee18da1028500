"""What measuring costs the code that is measured: microseconds of CPU for each call of a function.

`python -m bench.telemetry`: the work around one invocation as every endpoint does it, without an exporter, and with
one that sends to an address where nobody listens.
"""

import time
from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Final

from shared.kernel.clock import utc_now
from shared.telemetry import Attribute, Invocation, SpanKind, charge, count, export_to, observe, sent_to, span

ROUNDS: Final = 20_000
REPEATS: Final = 7
_ENQUEUED: Final = utc_now().replace(tzinfo=None)
_TOLD: Final[Mapping[str, Attribute]] = {"http.method": "POST", "http.route": "/api/orders"}


def invocation() -> None:
    """What an endpoint adds to a request, with one counter."""
    with Invocation("sales_place_order", SpanKind.SERVER, "", _TOLD) as measured:
        measured.answered(201)
        count("orders_placed")


def nothing() -> None:
    """The call itself, to be taken off."""


def call_within() -> None:
    """A call of a neighbour, within a request."""
    with span("send mail", component="SMTP"):
        nothing()


def store_call() -> None:
    """What each call of the store adds."""
    charge("orders", "read", 2.0)


def sending() -> None:
    """What each sending to a topic or a queue adds."""
    sent_to("events", 1)


def queue_wait() -> None:
    """What each message adds, besides its invocation: its time comes without a zone."""
    waited = utc_now() - _ENQUEUED.replace(tzinfo=UTC)
    observe("queue_seconds", max(0.0, waited.total_seconds()), "stock")


def microseconds(work: Callable[[], None], rounds: int = ROUNDS) -> float:
    """CPU of one call, the best of several runs."""
    best = float("inf")
    for _ in range(REPEATS):
        started = time.thread_time()
        for _ in range(rounds):
            work()
        best = min(best, time.thread_time() - started)
    return best / rounds * 1e6


def main() -> None:
    """Measure and print."""
    empty = microseconds(nothing)
    for name, work in (("invocation", invocation), ("call of a neighbour", call_within)):
        print(f"{name}, no exporter: {microseconds(work) - empty:.2f} µs")
    for name, work in (("call of the store", store_call), ("sending", sending), ("message's wait", queue_wait)):
        print(f"{name}: {microseconds(work) - empty:.2f} µs")
    from shared.telemetry.applicationinsights import ApplicationInsights
    from shared.telemetry.connection import Authentication, Connection
    from shared.telemetry.waiting import WAKE_AT

    connection = Connection("7e55e2a0-0000-4000-8000-000000000002", "http://127.0.0.1:9")
    exporter = ApplicationInsights(connection, Authentication(), send_seconds=600.0)
    export_to(exporter)
    rounds = WAKE_AT // 3 // REPEATS  # all of it waits: nothing wakes the thread that sends
    for name, work in (("invocation", invocation), ("call of a neighbour", call_within)):
        print(f"{name}, exported: {microseconds(work, rounds) - empty:.2f} µs")
    export_to(None)
    exporter.close(1.0)


if __name__ == "__main__":
    main()
