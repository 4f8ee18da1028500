"""Use cases → functions, and which of them each deployable service has."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import azure.functions as func

from functions.admission import feed as admission_feed
from functions.admission import http as admission_http
from functions.catalog import feed as catalog_feed
from functions.catalog import http as catalog_http
from functions.composition.adapters import Adapters
from functions.composition.use_cases import UseCases
from functions.identity import bus as identity_bus
from functions.identity import feed as identity_feed
from functions.identity import http as identity_http
from functions.insights import bus as insights_bus
from functions.insights import http as insights_http
from functions.inventory import bus as inventory_bus
from functions.inventory import http as inventory_http
from functions.inventory import timers as inventory_timers
from functions.notifications import bus as notifications_bus
from functions.operations import feed as operations_feed
from functions.operations import http as operations_http
from functions.operations import timers as operations_timers
from functions.operations.health import Health, breaker_warnings
from functions.operations.watch import dead_letter_warnings
from functions.sales import bus as sales_bus
from functions.sales import http as sales_http
from functions.sales import timers as sales_timers
from functions.sales.webhook import Webhook
from shared.auth.gate import Gate
from shared.settings import SERVICES, Settings
from shared.store.port import NotFound, Store
from shared.web.endpoint import Endpoints, EndpointSpec
from shared.web.entrance import Entrance


@dataclass(frozen=True, slots=True)
class Assembled:
    """An app.

    :param specs: every endpoint of the whole API, whichever of its services this app runs: clients see one
    """

    app: func.FunctionApp
    specs: Callable[[], Sequence[EndpointSpec]]


def function_app(settings: Settings, adapters: Adapters, cases: UseCases) -> func.FunctionApp:
    """See `assemble`."""
    return assemble(settings, adapters, cases).app


def assemble(settings: Settings, adapters: Adapters, cases: UseCases) -> Assembled:
    """The functions of the services that `TESSERA_SERVICES` names, and those that every app has: health and docs."""
    gate = Gate(
        adapters.validator,
        cases.standings.of,
        cases.keyring.caller,
        insights_key=settings.insights_api_key.get_secret_value(),
        anonymous_browsing=settings.tessera_anonymous_browsing,
    )
    entrance = Entrance(gate, cases.trail, secrets=settings.gateway_secrets, principal_id=settings.gateway_principal_id)
    parts = [_PARTS[name](adapters, cases, entrance) for name in settings.services]
    endpoints = [each for part in parts for each in part.endpoints]

    def every_spec() -> list[EndpointSpec]:
        others = [_PARTS[name](adapters, cases, entrance) for name in SERVICES if name not in settings.services]
        described = [*endpoints, *(each for part in others for each in part.endpoints)]
        return [spec for each in described for spec in each.specs]

    health = _health(adapters, settings.services)
    endpoints.append(operations_http.endpoints(health, every_spec, server=settings.tessera_public_url, gate=entrance))
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for blueprint in [*(each.blueprint for each in endpoints), *(each for part in parts for each in part.triggers)]:
        app.register_functions(blueprint)
    return Assembled(app, every_spec)


@dataclass(frozen=True, slots=True)
class Part:
    """The functions of one service."""

    endpoints: Sequence[Endpoints]
    triggers: Sequence[func.Blueprint]


def _commerce(adapters: Adapters, cases: UseCases, gate: Entrance) -> Part:
    """Browsing, buying and the door, and what follows from a sale."""
    bus = adapters.bus
    return Part(
        endpoints=[
            catalog_http.endpoints(cases.browsing, cases.managing, gate),
            sales_http.endpoints(
                placing=cases.placing,
                checkouts=cases.checkouts,
                settlement=cases.settlement,
                orders=cases.orders,
                webhook=Webhook(adapters.payments, bus),
                gate=gate,
            ),
            admission_http.endpoints(cases.door, gate),
            inventory_http.endpoints(cases.audit, gate),
        ],
        triggers=[
            *catalog_feed.feeds(cases.relisting),
            admission_feed.feed(cases.door),
            inventory_bus.consumer(cases.holds, bus),
            *sales_bus.consumers(cases.settlement, cases.failed_payments, cases.refunding, bus),
        ],
    )


def _identity(adapters: Adapters, cases: UseCases, gate: Entrance) -> Part:
    """People and what they may do."""
    return Part(
        endpoints=[identity_http.endpoints(cases.accounts, cases.belonging, cases.inviting, cases.keyring, gate)],
        triggers=[identity_feed.feed(cases.belonging), identity_bus.consumer(cases.accounts.erasing, adapters.bus)],
    )


def _insights(adapters: Adapters, cases: UseCases, gate: Entrance) -> Part:
    """The aggregation service."""
    return Part(
        endpoints=[insights_http.endpoints(cases.recorded, gate)],
        triggers=[insights_bus.consumer(cases.recorded, adapters.bus)],
    )


def _workers(adapters: Adapters, cases: UseCases, gate: Entrance) -> Part:
    """What nobody waits for: the relay, mails, timers; and what those who run the platform do by hand."""
    return Part(
        endpoints=[operations_http.office_endpoints(cases.office, cases.trail, gate)],
        triggers=[
            *operations_feed.feeds(cases.relay),
            *notifications_bus.consumers(cases.telling, cases.invitation_mails, cases.welcome_mails, adapters.bus),
            inventory_timers.timers(cases.audit),
            *sales_timers.timers(cases.repair),
            *operations_timers.timers(cases.relay, cases.watch),
        ],
    )


_PARTS: Final[Mapping[str, Callable[[Adapters, UseCases, Entrance], Part]]] = {
    "commerce": _commerce,
    "identity": _identity,
    "insights": _insights,
    "workers": _workers,
}


# The queue that each service looks at to see whether the bus answers: one of its own, as it has no rights on others.
_OWN_QUEUE: Final[Mapping[str, str]] = {
    "commerce": "payments",
    "identity": "erasures",
    "insights": "insights",
    "workers": "notifications",
}


def _health(adapters: Adapters, services: Sequence[str]) -> Health:
    async def store_answers(_: datetime) -> bool:
        return await _answers(adapters.store)

    async def sign_in_answers(_: datetime) -> bool:
        return await adapters.validator.ready()

    async def bus_answers(_: datetime) -> bool:
        await adapters.bus.peek_dead_letters(_OWN_QUEUE[services[0]], limit=1)  # the least that can be asked of it
        return True

    # Without the bus orders go on and the outbox keeps: no reason to take every process out of service.
    return Health(
        {"store": store_answers, "sign-in": sign_in_answers},
        [dead_letter_warnings, breaker_warnings],
        spared={"bus": bus_answers},
    )


async def _answers(store: Store) -> bool:
    try:
        await store.read("people", "per_health", "health")
    except NotFound:
        return True
    return True
