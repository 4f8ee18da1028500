"""Settings → adapters. The only module of the functions that chooses one."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared.auth.tokens import TokenValidator
from shared.bus.port import ManagedBus
from shared.bus.traced import TracedBus
from shared.credentials import managed_identity
from shared.directory.guarded import GuardedDirectory
from shared.directory.port import Directory
from shared.mail.guarded import GuardedMailer
from shared.mail.port import Mailer
from shared.mail.smtp import SmtpMailer
from shared.payments.guarded import GuardedPayments
from shared.payments.port import Payments
from shared.payments.stripe import StripePayments
from shared.settings import Settings, connection_parts, is_emulator
from shared.store.port import Store
from shared.telemetry import Exporter
from shared.topology import topology

if TYPE_CHECKING:
    from shared.bus.servicebus_client import Client
    from shared.store.cosmos_account import CosmosAccount


@dataclass(frozen=True, slots=True)
class Adapters:
    """What the use cases stand on; tests put their own together.

    :param directory: None where people's accounts are not administered from here
    """

    store: Store
    bus: ManagedBus
    payments: Payments
    mailer: Mailer
    validator: TokenValidator
    directory: Directory | None = None


def choose_adapters(settings: Settings, *, traced: bool = False) -> Adapters:
    """The adapters that the settings name. Files and connections open with the first call.

    :param traced: whether somebody collects what messages carry on
    """
    return Adapters(
        store=choose_store(settings),
        bus=TracedBus(choose_bus(settings)) if traced else choose_bus(settings),
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
        directory=choose_directory(settings),
    )


def choose_store(settings: Settings) -> Store:
    """The embedded store, or Cosmos DB: with the app's identity, or with a key where it is an emulator."""
    secret = settings.tessera_signing_secret.get_secret_value().encode()
    if settings.tessera_store == "embedded":
        from shared.store.embedded import EmbeddedStore

        return EmbeddedStore.at(settings.tessera_data / "store.db", topology(), secret)
    from shared.store.cosmos import CosmosStore
    from shared.store.guarded import GuardedStore

    return GuardedStore(CosmosStore(cosmos_account(settings), topology(), secret))


def cosmos_account(settings: Settings) -> "CosmosAccount":
    """A connection to the account that the settings name; nothing is opened yet."""
    from shared.store.cosmos_account import CosmosAccount

    database = topology().database
    if settings.cosmos_endpoint is not None:
        return CosmosAccount(settings.cosmos_endpoint, partial(managed_identity, settings.cosmos_client_id), database)
    parts = connection_parts(settings.cosmos_connection)
    return CosmosAccount(parts["accountendpoint"], parts["accountkey"], database, alone=is_emulator(parts))


def choose_bus(settings: Settings) -> ManagedBus:
    """The embedded bus, or Service Bus: with the app's identity, or with a key where it is an emulator."""
    if settings.tessera_bus == "embedded":
        from shared.bus.embedded import EmbeddedBus

        return EmbeddedBus.at(settings.tessera_data / "bus.db", topology())
    from shared.bus.guarded import GuardedBus
    from shared.bus.servicebus import ServiceBus

    return GuardedBus(ServiceBus(servicebus_client(settings), topology()))


def servicebus_client(settings: Settings) -> "Client":
    """The links to the namespace that the settings name; nothing is opened yet."""
    from shared.bus.servicebus_client import Access, Client

    if settings.servicebus_namespace is not None:
        identity = partial(managed_identity, settings.servicebus_client_id)
        return Client(Access(namespace=settings.servicebus_namespace, credential=identity))
    connection = settings.servicebus_connection
    assert connection is not None, "the settings have one of both"
    return Client(Access(connection_string=connection.get_secret_value()))


def choose_directory(settings: Settings) -> Directory | None:
    """Microsoft Graph, or nobody. Its library is loaded, and its certificate read, with the first call."""
    authority, client_id = settings.directory_authority, settings.directory_client_id
    certificate, issuer = settings.directory_certificate, settings.directory_issuer
    if authority is None or client_id is None or certificate is None or issuer is None:
        return None
    from shared.directory.access import Access
    from shared.directory.graph import GraphDirectory
    from shared.directory.graph_client import GraphClient, Patience
    from shared.store.continuation import Continuations

    patience, base, ca = Patience(), settings.directory_graph_base, settings.directory_ca
    access = Access(
        authority=authority,
        client_id=client_id,
        certificate=certificate.get_secret_value(),
        graph_base=base,
        connect_seconds=patience.connect_seconds,
        answer_seconds=patience.answer_seconds,
        ca=ca,
    )
    client = GraphClient(base, access, ca=ca, patience=patience)
    continuations = Continuations(settings.tessera_signing_secret.get_secret_value().encode())
    return GuardedDirectory(GraphDirectory(client, issuer=issuer, continuations=continuations))


def choose_telemetry(settings: Settings) -> Exporter | None:
    """Application Insights, or nobody. Its library is loaded later, with the first that is sent."""
    if settings.applicationinsights_connection_string is None:
        return None
    from shared.telemetry.applicationinsights import ApplicationInsights
    from shared.telemetry.connection import Authentication, Connection

    return ApplicationInsights(
        Connection.parse(settings.applicationinsights_connection_string),
        Authentication.parse(settings.applicationinsights_authentication_string),
        role=settings.website_site_name,
        sampling_ratio=settings.tessera_trace_sampling,
    )
