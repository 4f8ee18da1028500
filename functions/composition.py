"""Settings → adapters → use cases → blueprints. The only module that chooses an adapter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import azure.functions as func

from functions.admission import feed as admission_feed
from functions.admission import http as admission_http
from functions.admission.codes import Codes
from functions.admission.door import Door
from functions.admission.repository import TicketRepository
from functions.catalog import feed as catalog_feed
from functions.catalog import http as catalog_http
from functions.catalog.browsing import Browsing
from functions.catalog.managing import Managing
from functions.catalog.relisting import Relisting
from functions.catalog.repository import CatalogRepository
from functions.identity import http as identity_http
from functions.identity.memberships import Memberships
from functions.insights import bus as insights_bus
from functions.insights import http as insights_http
from functions.insights.events import RecordedEvents
from functions.inventory import bus as inventory_bus
from functions.inventory import http as inventory_http
from functions.inventory import timers as inventory_timers
from functions.inventory.audit import Audit
from functions.inventory.holds import Holds
from functions.inventory.repository import InventoryRepository
from functions.notifications import bus as notifications_bus
from functions.notifications.outbound import OutboundMail
from functions.notifications.telling import Telling
from functions.operations import feed as operations_feed
from functions.operations import http as operations_http
from functions.operations import timers as operations_timers
from functions.operations.dead_letters import DeadLetterOffice
from functions.operations.health import Health, breaker_warnings
from functions.operations.relay import Relay
from functions.operations.watch import DeadLetterWatch
from functions.sales import bus as sales_bus
from functions.sales import http as sales_http
from functions.sales import timers as sales_timers
from functions.sales.checkout import Checkouts, CheckoutSessions
from functions.sales.failing import FailedPayments
from functions.sales.placing import Placing
from functions.sales.reading import Orders
from functions.sales.refunding import Refunding
from functions.sales.repair import Repair
from functions.sales.repository import OrderRepository
from functions.sales.settling import Settlement
from functions.sales.webhook import Webhook
from shared.audit import AuditTrail
from shared.auth.gate import Gate
from shared.auth.tokens import TokenValidator
from shared.bus.port import Bus, ManagedBus
from shared.mail.guarded import GuardedMailer
from shared.mail.port import Mailer
from shared.mail.smtp import SmtpMailer
from shared.payments.guarded import GuardedPayments
from shared.payments.port import Payments
from shared.payments.stripe import StripePayments
from shared.settings import Settings
from shared.store.port import NotFound, Store
from shared.telemetry import quieten_libraries
from shared.topology import topology
from shared.web.endpoint import Endpoints, EndpointSpec


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use cases stand on; tests put their own together."""

    store: Store
    bus: ManagedBus
    payments: Payments
    mailer: Mailer
    validator: TokenValidator


@dataclass(frozen=True, slots=True)
class UseCases:
    """Everything the product does, by context."""

    browsing: Browsing
    relisting: Relisting
    managing: Managing
    holds: Holds
    audit: Audit
    door: Door
    placing: Placing
    checkouts: Checkouts
    settlement: Settlement
    failed_payments: FailedPayments
    refunding: Refunding
    orders: Orders
    repair: Repair
    memberships: Memberships
    telling: Telling
    recorded: RecordedEvents
    relay: Relay
    trail: AuditTrail
    office: DeadLetterOffice
    watch: DeadLetterWatch


def compose(settings: Settings) -> func.FunctionApp:
    """The function app for these settings."""
    quieten_libraries()
    adapters = choose_adapters(settings)
    return function_app(settings, adapters, use_cases(settings, adapters))


def choose_adapters(settings: Settings) -> Adapters:
    """The adapters that the settings name. Files and connections open with the first call."""
    from shared.bus.embedded import EmbeddedBus
    from shared.store.embedded import EmbeddedStore

    secret = settings.tessera_signing_secret.get_secret_value().encode()
    return Adapters(
        store=EmbeddedStore.at(settings.tessera_data / "store.db", topology(), secret),
        bus=EmbeddedBus.at(settings.tessera_data / "bus.db", topology()),
        payments=GuardedPayments(
            StripePayments(
                api_key=settings.stripe_api_key.get_secret_value(),
                api_base=settings.stripe_api_base,
                webhook_secret=settings.stripe_webhook_secret.get_secret_value(),
            )
        ),
        mailer=GuardedMailer(
            SmtpMailer(
                host=settings.smtp_host,
                port=settings.smtp_port,
                username=settings.smtp_username,
                password=settings.smtp_password.get_secret_value(),
                starttls=settings.smtp_starttls,
                sender=settings.mail_from,
            )
        ),
        validator=TokenValidator(settings.authorities, settings.auth_audience),
    )


def use_cases(settings: Settings, adapters: Adapters) -> UseCases:
    """The use cases on these adapters."""
    store = adapters.store
    inventory, catalog = InventoryRepository(store), CatalogRepository(store)
    orders, tickets = OrderRepository(store), TicketRepository(store)
    holds, memberships, codes = (
        Holds(inventory),
        Memberships(store),
        Codes(*settings.tessera_ticket_key.get_secret_value().split(",")),
    )
    sessions = CheckoutSessions(adapters.payments)
    settlement = Settlement(orders, tickets, sessions)
    refunding = Refunding(orders, adapters.payments)
    deadline = timedelta(seconds=settings.tessera_order_deadline_seconds)
    reading, trail = Orders(orders), AuditTrail(store)
    return UseCases(
        browsing=Browsing(catalog, holds),
        relisting=Relisting(catalog, holds),
        managing=Managing(catalog, holds, memberships.own),
        holds=holds,
        audit=Audit(inventory),
        door=Door(tickets, codes),
        placing=Placing(orders, catalog, holds, deadline),
        checkouts=Checkouts(orders, catalog, sessions, f"{settings.tessera_public_url}/api"),
        settlement=settlement,
        failed_payments=FailedPayments(orders),
        refunding=refunding,
        orders=reading,
        repair=Repair(orders, inventory, holds, settlement, refunding, deadline),
        memberships=memberships,
        telling=Telling(reading, tickets, codes, OutboundMail(store), adapters.mailer),
        recorded=RecordedEvents(store),
        relay=Relay(store, adapters.bus),
        trail=trail,
        office=DeadLetterOffice(adapters.bus, trail),
        watch=DeadLetterWatch(adapters.bus),
    )


def function_app(settings: Settings, adapters: Adapters, cases: UseCases) -> func.FunctionApp:
    """The functions that are these use cases' edges."""
    gate = Gate(
        adapters.validator,
        cases.memberships.of,
        insights_key=settings.insights_api_key.get_secret_value(),
        anonymous_browsing=settings.tessera_anonymous_browsing,
    )
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    for endpoints in _endpoints(settings, adapters, cases, gate):
        app.register_functions(endpoints.blueprint)
    for blueprint in _triggers(adapters.bus, cases):
        app.register_functions(blueprint)
    return app


def _endpoints(settings: Settings, adapters: Adapters, cases: UseCases, gate: Gate) -> Sequence[Endpoints]:
    endpoints = [
        catalog_http.endpoints(cases.browsing, cases.managing, gate),
        sales_http.endpoints(
            placing=cases.placing,
            checkouts=cases.checkouts,
            settlement=cases.settlement,
            orders=cases.orders,
            webhook=Webhook(adapters.payments, adapters.bus),
            gate=gate,
        ),
        admission_http.endpoints(cases.door, gate),
        identity_http.endpoints(cases.memberships, gate),
        insights_http.endpoints(cases.recorded, gate),
        inventory_http.endpoints(cases.audit, gate),
    ]

    def every_spec() -> list[EndpointSpec]:
        return [spec for part in endpoints for spec in part.specs]

    operations = operations_http.endpoints(
        _health(adapters, cases),
        cases.watch,
        cases.office,
        cases.trail,
        every_spec,
        server=settings.tessera_public_url,
        gate=gate,
    )
    endpoints.append(operations)
    return endpoints


def _triggers(bus: Bus, cases: UseCases) -> Sequence[func.Blueprint]:
    return [
        *catalog_feed.feeds(cases.relisting),
        admission_feed.feed(cases.door),
        *operations_feed.feeds(cases.relay),
        inventory_bus.consumer(cases.holds, bus),
        *sales_bus.consumers(cases.settlement, cases.failed_payments, cases.refunding, bus),
        notifications_bus.consumer(cases.telling, bus),
        insights_bus.consumer(cases.recorded, bus),
        inventory_timers.timers(cases.audit),
        *sales_timers.timers(cases.repair),
        *operations_timers.timers(cases.relay, cases.watch),
    ]


def _health(adapters: Adapters, cases: UseCases) -> Health:
    async def store_answers(_: datetime) -> bool:
        return await _answers(adapters.store)

    async def sign_in_answers(_: datetime) -> bool:
        return await adapters.validator.ready()

    # Without the bus orders go on and the outbox keeps: no reason to take every process out of service.
    return Health(
        {"store": store_answers, "sign-in": sign_in_answers},
        [cases.watch.warnings, breaker_warnings],
        spared={"bus": cases.watch.bus_answers},
    )


async def _answers(store: Store) -> bool:
    try:
        await store.read("people", "per_health", "health")
    except NotFound:
        return True
    return True
