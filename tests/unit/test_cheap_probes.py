"""What anybody may ask, however often, costs the bus next to nothing; who reads metrics asks nobody."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import azure.functions as func
from azure_functions_runtime.bindings.context import get_context
from azure_functions_runtime.native_invocation import _InvocShim

from functions.composition import function_app, use_cases
from shared.bus.port import DeadLetterPage
from tests.doubles.mailbag import Mailbag
from tests.factories import settings as factory

type Ask = Callable[[], Awaitable[func.HttpResponse]]


@dataclass
class Counting(Mailbag):
    """Keeps what it was asked."""

    asked: list[str] = field(default_factory=list)

    async def dead_counts(self) -> Mapping[str, int]:
        """See `DeadLetters.dead_counts`."""
        self.asked.append("all queues")
        return await super().dead_counts()

    async def peek_dead_letters(
        self, queue: str, *, limit: int = 100, after: int = 0, reason: str | None = None, type_name: str | None = None
    ) -> DeadLetterPage:
        """See `DeadLetters.peek_dead_letters`."""
        self.asked.append(f"{limit} of one queue")
        return await super().peek_dead_letters(queue, limit=limit, after=after, reason=reason, type_name=type_name)


def asking(run: Callable[..., Awaitable[func.HttpResponse]], name: str, url: str, token: str = "") -> Ask:
    """A function, as a host would call it."""
    context = get_context(_InvocShim("invocation"), name, ".")

    async def ask() -> func.HttpResponse:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        request = func.HttpRequest("GET", url, headers=headers, params={}, route_params={}, body=b"")
        return await run(request, context=context)

    return ask


async def test_probes_and_readers_of_metrics_leave_the_bus_alone(tmp_path: Path) -> None:
    settings, bus = factory.settings(tmp_path), Counting()
    with factory.adapters(tmp_path, bus=bus) as adapters:
        app = function_app(settings, adapters, use_cases(settings, adapters))
        found = {each.get_function_name(): each.get_user_function() for each in app.get_functions()}
        ready = asking(found["operations_ready"], "operations_ready", "/api/health/ready")
        key = settings.insights_api_key.get_secret_value()
        metrics = asking(found["operations_metrics"], "operations_metrics", "/api/metrics", key)

        assert {(await metrics()).status_code for _ in range(3)} == {200}
        assert bus.asked == []
        for _ in range(5):
            await ready()
        assert bus.asked == ["1 of one queue"]
