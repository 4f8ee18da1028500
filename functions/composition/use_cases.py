"""What the product does, by context, on whatever adapters it is given."""

from dataclasses import dataclass
from datetime import timedelta

from functions.admission.codes import Codes
from functions.admission.door import Door
from functions.admission.personal import PersonalTickets
from functions.admission.repository import TicketRepository
from functions.catalog.browsing import Browsing
from functions.catalog.managing import Managing
from functions.catalog.personal import PersonalOrganisers
from functions.catalog.relisting import Relisting
from functions.catalog.repository import CatalogRepository
from functions.composition.adapters import Adapters
from functions.identity.belonging import Belonging
from functions.identity.erasing import Erasing
from functions.identity.exporting import Exporting
from functions.identity.http import Accounts
from functions.identity.invitations import InvitationCodes
from functions.identity.inviting import Inviting
from functions.identity.keyring import Keyring
from functions.identity.people_repository import PeopleRepository
from functions.identity.personal import PersonalAccount
from functions.identity.profiles import Profiles
from functions.identity.standings import Standings
from functions.identity.team_repository import TeamRepository
from functions.identity.users import Users
from functions.insights.events import RecordedEvents
from functions.inventory.audit import Audit
from functions.inventory.holds import Holds
from functions.inventory.repository import InventoryRepository
from functions.notifications.inviting import InvitationMails
from functions.notifications.outbound import OutboundMail
from functions.notifications.posting import Post
from functions.notifications.telling import Telling
from functions.notifications.welcoming import WelcomeMails
from functions.operations.dead_letters import DeadLetterOffice
from functions.operations.relay import Relay
from functions.operations.watch import DeadLetterWatch
from functions.sales.checkout import Checkouts, CheckoutSessions
from functions.sales.failing import FailedPayments
from functions.sales.personal import PersonalOrders
from functions.sales.placing import Placing
from functions.sales.reading import Orders
from functions.sales.refunding import Refunding
from functions.sales.repair import Repair
from functions.sales.repository import OrderRepository
from functions.sales.settling import Settlement
from shared.audit import AuditTrail
from shared.personal_data import PersonalData
from shared.settings import Settings


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
    standings: Standings
    accounts: Accounts
    belonging: Belonging
    inviting: Inviting
    keyring: Keyring
    telling: Telling
    invitation_mails: InvitationMails
    welcome_mails: WelcomeMails
    recorded: RecordedEvents
    relay: Relay
    trail: AuditTrail
    office: DeadLetterOffice
    watch: DeadLetterWatch


def use_cases(settings: Settings, adapters: Adapters) -> UseCases:
    """The use cases on these adapters."""
    store = adapters.store
    inventory, catalog = InventoryRepository(store), CatalogRepository(store)
    orders, tickets = OrderRepository(store), TicketRepository(store)
    holds, codes = Holds(inventory), Codes(*settings.ticket_seeds)
    standings, belonging, inviting = _teams(settings, adapters)
    site, post = f"{settings.tessera_public_url}/api", Post(OutboundMail(store), adapters.mailer)
    sessions, deadline = CheckoutSessions(adapters.payments), timedelta(seconds=settings.tessera_order_deadline_seconds)
    settlement, refunding = Settlement(orders, tickets, sessions), Refunding(orders, adapters.payments)
    reading, trail = Orders(orders), AuditTrail(store)
    accounts = _accounts(adapters, standings, belonging, orders, tickets)
    return UseCases(
        browsing=Browsing(catalog, holds),
        relisting=Relisting(catalog, holds),
        managing=Managing(catalog, holds, belonging.own),
        holds=holds,
        audit=Audit(inventory),
        door=Door(tickets, codes),
        placing=Placing(orders, catalog, holds, deadline),
        checkouts=Checkouts(orders, catalog, sessions, site),
        settlement=settlement,
        failed_payments=FailedPayments(orders),
        refunding=refunding,
        orders=reading,
        repair=Repair(orders, inventory, holds, settlement, refunding, deadline),
        standings=standings,
        accounts=accounts,
        belonging=belonging,
        inviting=inviting,
        keyring=Keyring(store),
        telling=Telling(reading, tickets, codes, post),
        invitation_mails=InvitationMails(inviting, post, site),
        welcome_mails=WelcomeMails(accounts.profiles, post, settings.tessera_public_url),
        recorded=RecordedEvents(store),
        relay=Relay(store, adapters.bus),
        trail=trail,
        office=DeadLetterOffice(adapters.bus, trail),
        watch=DeadLetterWatch(adapters.bus),
    )


def _teams(settings: Settings, adapters: Adapters) -> tuple[Standings, Belonging, Inviting]:
    """Who works for whom."""
    teams, standings = TeamRepository(adapters.store), Standings(adapters.store)
    belonging = Belonging(teams, standings, standings.known)
    codes = InvitationCodes(settings.tessera_signing_secret.get_secret_value().encode())
    return standings, belonging, Inviting(teams, belonging, codes)


def _accounts(
    adapters: Adapters,
    standings: Standings,
    belonging: Belonging,
    orders: OrderRepository,
    tickets: TicketRepository,
) -> Accounts:
    """What is done with people's accounts, wherever something is held of them."""
    people, store, directory = PeopleRepository(adapters.store), adapters.store, adapters.directory
    owned = PersonalTickets(tickets)
    # Wallets are copies of orders' tickets, so they come last.
    parts: list[PersonalData] = [
        PersonalAccount(store, people), PersonalOrganisers(store), PersonalOrders(orders, tickets), owned
    ]  # fmt: skip
    profiles = Profiles(people, directory)
    erasing = Erasing(people, standings, belonging, parts, owned.at_stake, directory)
    exporting = Exporting(parts)
    users = Users(people, standings, profiles, exporting, erasing, adapters.validator, directory)
    return Accounts(profiles, exporting, erasing, users)
