"""What the host prints at start: its functions by kind."""

from collections.abc import Iterator

from local.host.triggers import Functions


def summary(functions: Functions, *, url: str, prefix: str, workers: int) -> str:
    """A few lines of text for people."""
    many = f", {workers} workers" if workers > 1 else ""
    return "\n".join([f"\n  {len(functions)} functions on {url}{many}\n", *_lines(functions, url, prefix), ""])


def _lines(functions: Functions, url: str, prefix: str) -> Iterator[str]:
    base = "/".join(part for part in (url, prefix.strip("/")) if part)
    for http in sorted(functions.http, key=lambda each: each.route):
        methods = ",".join(sorted(http.methods)) or "ANY"
        yield f"  http    {http.name:<28} [{methods}] {base}/{http.route.strip('/')}"
    for queue in functions.queues:
        yield f"  queue   {queue.name:<28} {queue.queue}{' (batches)' if queue.batched else ''}"
    for feed in functions.feeds:
        yield f"  feed    {feed.name:<28} {feed.container}{', retried' if feed.retry else ', NOT retried'}"
    for timer in functions.timers:
        yield f"  timer   {timer.name:<28} {timer.schedule.expression}"
