"""Who may do what to whose things (E16): every endpoint the running app has, asked by everybody there is.

Which permission an endpoint needs is read from the app. Who has a permission is written here a second time, by hand, so
that a slip in the table of the product is not copied. A row says how to ask, and what whoever is let in is answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.support.api import Api, Json, Organiser, Person, new_key, soon, type_body, venue_body

UNKNOWN_TYPE: Final = "tty_" + "a" * 26
NO_ORGANISER: Final = "org_" + "z" * 26
# The house's people; another organiser's; who ordered and who did not; platform roles without an organiser; nobody.
OWN: Final = ("owner", "creator", "operator")
OTHER: Final = ("other-owner", "other-creator", "other-operator")
PEOPLE: Final = (*OWN, *OTHER, "buyer", "user", "free-creator", "free-operator", "admin")
# The insights key of the settings; keys of the house, of the other organiser and of the platform with every scope that
# one can have; one of the house and one of the platform that may only browse.
SERVICES: Final = ("insights", "key", "other-key", "idle-key", "platform-key", "bare-key")
ROLES: Final = (*PEOPLE, "nobody", *SERVICES)

HOLDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "public": ROLES,
    "browse": (*PEOPLE, "idle-key", "platform-key", "bare-key"),
    "buy": PEOPLE,
    "own-account": PEOPLE,
    "create-organiser": ("owner", "other-owner", "free-creator", "admin"),  # owners here are creators of the platform
    "manage-events": ("owner", "creator", "admin", "key", "platform-key"),
    "sell-at-desk": ("owner", "operator", "admin"),
    "refund": ("owner", "operator", "admin"),
    "check-in": ("owner", "operator", "admin", "key", "platform-key"),
    "manage-members": ("owner", "admin"),
    "manage-keys": ("owner", "admin"),
    "read-audit": ("owner", "admin"),
    "manage-users": ("admin",),
    "operate": ("admin", "platform-key"),
    "read-metrics": ("insights", "platform-key"),
    "read-insights": ("insights", "platform-key"),
}
# Who has it, but in another organiser: to them the house does not exist.
ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "manage-events": ("other-owner", "other-creator", "other-key"),
    "refund": ("other-owner", "other-operator"),
    "check-in": ("other-owner", "other-operator", "other-key"),
    "manage-members": ("other-owner",),
    "manage-keys": ("other-owner",),
    "read-audit": ("other-owner",),
}
PRIVATE: Final = ("read-insights", "read-metrics")
HOLD_TICKETS: Final = ("owner", "operator", "buyer", "admin")  # and cancel orders
ONLOOKERS: Final = ("creator", "free-operator")
SEE_ORDERS: Final = (*OWN, "buyer", "free-operator", "admin")


@dataclass(frozen=True)
class Row:
    """An endpoint.

    :param ok: what whoever is let in is answered
    :param body: names the JSON body in `World.bodies`
    :param only: whom the thing itself lets in, of those who have the permission
    :param otherwise: what the others of them are answered
    :param forbidden: those of the others who know of the thing, and are told that they may not
    """

    ok: int
    body: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ROLES
    otherwise: int = 404
    forbidden: tuple[str, ...] = ()


HOUSE: Final = {"organiser_id": "{organiser_id}"}
UNSURE: Final = {"confirm": "perhaps"}
TABLE: Final[Mapping[tuple[str, str], Row]] = {
    ("GET", "/api/events"): Row(200),
    ("GET", "/api/events/facets"): Row(200),
    ("GET", "/api/events/{event_id}"): Row(200, only=("owner", "creator", "admin", "platform-key")),  # a draft
    ("POST", "/api/organisers"): Row(400, body="nothing"),  # so that none is made: who may is told what is missing
    ("POST", "/api/organisers/{organiser_id}/venues"): Row(201, body="venue"),
    ("GET", "/api/organisers/{organiser_id}/venues"): Row(200),
    ("GET", "/api/organisers/{organiser_id}/events"): Row(200),
    ("POST", "/api/events"): Row(201, body="event"),
    ("PUT", "/api/events/{event_id}"): Row(200, body="details"),
    ("POST", "/api/events/{event_id}/publish"): Row(200),  # published already, so that it is given as it is
    ("POST", "/api/events/{event_id}/cancel"): Row(409),  # still a draft
    # At the desk, for a ticket type that is not there: 404 is past the permission.
    ("POST", "/api/orders"): Row(404, body="desk order", only=("owner", "operator", "admin"), otherwise=403),
    ("POST", "/api/orders/{order_id}/checkout"): Row(200, only=("buyer",)),
    ("GET", "/api/orders/{order_id}"): Row(200, only=SEE_ORDERS),
    ("POST", "/api/orders/{order_id}/cancel"): Row(409, only=HOLD_TICKETS, forbidden=ONLOOKERS),
    ("POST", "/api/orders/{order_id}/refund"): Row(409),
    ("GET", "/api/orders/{order_id}/tickets/{number}/qr.svg"): Row(200, only=HOLD_TICKETS, forbidden=ONLOOKERS),
    ("GET", "/api/orders/{order_id}/tickets/{number}/ticket.png"): Row(200, only=HOLD_TICKETS, forbidden=ONLOOKERS),
    ("GET", "/api/orders/{order_id}/tickets"): Row(200, only=SEE_ORDERS),
    ("POST", "/api/check-ins"): Row(409, body="scan"),  # a void ticket
    ("GET", "/api/tickets/mine"): Row(200),
    ("GET", "/api/me"): Row(200),
    ("PATCH", "/api/me"): Row(400, body="nothing"),
    ("GET", "/api/me/export"): Row(200),
    ("DELETE", "/api/me"): Row(400, params=UNSURE),  # so that nobody is forgotten
    ("GET", "/api/users"): Row(200),
    ("POST", "/api/users"): Row(201, body="account"),
    ("GET", "/api/users/{person_id}"): Row(200),
    ("PATCH", "/api/users/{person_id}"): Row(200, body="name"),
    ("DELETE", "/api/users/{person_id}"): Row(400, params=UNSURE),
    ("PUT", "/api/users/{person_id}/roles"): Row(200, body="roles"),
    ("POST", "/api/users/{person_id}/disable"): Row(204),
    ("POST", "/api/users/{person_id}/enable"): Row(204),
    ("DELETE", "/api/me/memberships/{organiser_id}"): Row(404),  # of an organiser that is not there
    ("GET", "/api/organisers/{organiser_id}/members"): Row(200),
    ("PUT", "/api/organisers/{organiser_id}/members/{person_id}"): Row(200, body="role"),
    ("DELETE", "/api/organisers/{organiser_id}/members/{person_id}"): Row(204),
    ("POST", "/api/organisers/{organiser_id}/invitations"): Row(201, body="invitation"),
    ("GET", "/api/organisers/{organiser_id}/invitations"): Row(200),
    ("DELETE", "/api/organisers/{organiser_id}/invitations/{invitation_id}"): Row(204),
    ("POST", "/api/invitations/accept"): Row(409, body="wrong code"),
    ("GET", "/api/invitations/shown"): Row(200),
    ("POST", "/api/service-keys"): Row(201, body="key"),
    ("GET", "/api/service-keys"): Row(200, params=HOUSE),
    ("POST", "/api/service-keys/{key_id}/rotate"): Row(200, body="rotation"),
    ("DELETE", "/api/service-keys/{key_id}"): Row(204),
    ("GET", "/api/organisers/{organiser_id}/audit"): Row(200),
    ("POST", "/api/operations/inventory-audit"): Row(200),
    ("GET", "/api/operations/counters"): Row(200),
    ("GET", "/api/operations/audit"): Row(200),
    ("GET", "/api/operations/dead-letters"): Row(200),
    ("GET", "/api/operations/dead-letters/{queue}"): Row(200),
    ("GET", "/api/operations/dead-letters/{queue}/{sequence_number}"): Row(404),
    # An empty body, so that nothing is done: who may do it is told what is missing.
    ("POST", "/api/operations/dead-letters/{queue}/replay"): Row(400, body="nothing"),
    ("POST", "/api/operations/dead-letters/{queue}/discard"): Row(400, body="nothing"),
    ("GET", "/api/insights/events"): Row(200, params=HOUSE),
    ("GET", "/api/metrics"): Row(200),
    ("GET", "/api/ticket-keys"): Row(200),
    ("GET", "/api/health/live"): Row(200),
    ("GET", "/api/health/ready"): Row(200),
    ("GET", "/api/openapi.json"): Row(200),
    ("GET", "/api/docs"): Row(200),
    ("GET", "/api/checkout/result"): Row(200),
}
# Signed by the provider; tested in test_sales_*.py and tests/faults/test_webhooks.py.
NOT_FOR_PEOPLE: Final = {("POST", "/api/payments/stripe")}


@dataclass
class World:
    """Two organisers; the first has one of everything."""

    house: Organiser
    people: dict[str, Person]
    facts: Json
    bodies: dict[str, Json]
    placed: Json
    paid: Json
    event: Json
    events: int = 2

    def ask(self, role: str, method: str, path: str) -> tuple[int, str]:
        """What `role` gets: the status, and the body."""
        row = TABLE[method, path]
        more: Json = {"headers": {"idempotency-key": new_key()}}
        if row.body:
            more["json"] = self.bodies[row.body]
        if row.params:
            more["params"] = {name: value.format(**self.facts) for name, value in row.params.items()}
        answer = self.people[role].ask(method, self.path(method, path), **more)
        self.events += (method, path, answer.status_code) == ("POST", "/api/events", 201)
        return answer.status_code, answer.text

    def path(self, method: str, path: str) -> str:
        """The path of the thing an endpoint is asked about."""
        facts = dict(self.facts)
        if path.endswith("publish"):
            facts["event_id"] = self.event["event_id"]
        if path.endswith(("cancel", "qr.svg", "ticket.png", "tickets")):
            facts["order_id"] = self.paid["order_id"]
        if path.startswith("/api/me/"):
            facts["organiser_id"] = NO_ORGANISER
        if method == "DELETE" and path.startswith("/api/service-keys"):
            facts["key_id"] = facts["doomed_key_id"]
        return path.removeprefix("/api/").format(**facts)

    def state(self) -> list[Json]:
        """What must not change under a stranger's hands."""
        owner, house = self.house.owner, self.house.id
        return [
            owner.get(f"events/{self.facts['event_id']}").json(),
            owner.get(f"events/{self.event['event_id']}").json(),
            owner.get(f"orders/{self.placed['order_id']}").json(),
            owner.get(f"orders/{self.paid['order_id']}").json(),
            owner.get(f"organisers/{house}/venues", limit=100).json(),
            owner.get(f"organisers/{house}/members", limit=100).json(),
            owner.get(f"organisers/{house}/invitations", limit=100).json(),
            self.people["admin"].get(f"users/{self.facts['person_id']}").json(),
            owner.get(f"organisers/{house}/audit", limit=200).json(),
            self.people["admin"].get("operations/audit", limit=200).json(),
            [{**key, "last_used_at": ""} for key in owner.get("service-keys", organiser_id=house).json()["items"]],
            soon(self._own_list, "the organiser's list up to date"),
        ]

    def _own_list(self) -> Json | None:
        page: Json = self.house.owner.get(f"organisers/{self.house.id}/events", limit=100).json()
        return page if len(page["items"]) >= self.events else None


def expected_status(role: str, row: Row, operation: Json) -> int:
    """What `role` must be answered, by the tables in this file and what the app says of itself."""
    needs, within = operation["x-needs"], operation.get("x-within", "")
    if role in HOLDERS[needs]:
        return row.ok if role in row.only else 403 if role in row.forbidden else row.otherwise
    if role in {"nobody", "insights"} or (needs in PRIVATE and role in PEOPLE):
        return 401  # the gateway keeps tokens and the insights key apart
    if role in ELSEWHERE.get(needs, ()):
        # A body that cannot be read tells nobody anything of an organiser.
        assert within
        return 404
    return 403


@pytest.fixture(scope="module")
def operations(api: Api) -> dict[tuple[str, str], Json]:
    """Every endpoint of the running app."""
    paths = api.nobody.get("openapi.json").json()["paths"]
    return {(method.upper(), path): operation for path, item in paths.items() for method, operation in item.items()}


def made_key(by: Person, *scopes: str, **more: Any) -> Json:
    answer = by.post("service-keys", {"name": "A machine", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    house, other = api.organiser("Riverside"), api.organiser("Hillview")
    buyer, admin, extra = api.person(), api.person("admin"), api.person()
    of_organisers = ("manage-events", "check-in")
    of_all = (*of_organisers, "browse", "operate", "read-metrics", "read-insights")
    people = {
        "owner": house.owner, "creator": house.creator, "operator": house.operator,
        "other-owner": other.owner, "other-creator": other.creator, "other-operator": other.operator,
        "buyer": buyer, "user": api.person("user"), "free-creator": api.person("creator"),
        "free-operator": api.person("operator"), "admin": admin, "nobody": api.nobody, "insights": api.insights,
        "key": api.bearer(made_key(house.owner, *of_organisers, organiser_id=house.id)["token"]),
        "other-key": api.bearer(made_key(other.owner, *of_organisers, organiser_id=other.id)["token"]),
        "idle-key": api.bearer(made_key(house.owner, "browse", organiser_id=house.id)["token"]),
        "platform-key": api.bearer(made_key(admin, *of_all)["token"]),
        "bare-key": api.bearer(made_key(admin, "browse")["token"]),
    }  # fmt: skip
    free = [type_body(), type_body(name="Free", price={"amount_minor": 0, "currency": "EUR"})]
    event = house.event(ticket_types=free)
    placed = buyer.order(event).json()
    paid, void = (buyer.order({**event, "ticket_types": event["ticket_types"][1:]}).json() for _ in range(2))
    house.operator.post(f"orders/{void['order_id']}/refund")

    def void_code() -> str | None:
        items = buyer.get("tickets/mine").json()["items"]
        return next((t["code"] for t in items if t["order_id"] == void["order_id"] and t["state"] == "void"), None)

    def restocked() -> bool | None:
        return buyer.get(f"events/{event['event_id']}").json()["available"] == 8 or None

    soon(restocked, "the refunded place back")
    body = house.event_body()
    invited = house.owner.post(f"organisers/{house.id}/invitations", {"email": "d@tessera.example", "role": "creator"})
    bodies: dict[str, Json] = {
        "nothing": {},
        "venue": venue_body(),
        "event": body,
        "details": {name: value for name, value in body.items() if name != "organiser_id"},
        "scan": {"code": soon(void_code, "a void ticket"), "nonce": new_key()},
        "role": {"role": "operator"},
        "invitation": {"email": "c@tessera.example", "role": "operator"},
        "wrong code": {"code": "org_a"},
        "account": {"email": "matrix@tessera.example", "name": "Mat Rix"},
        "name": {"name": "Somebody Else"},
        "roles": {"roles": None},
        "key": {"name": "Another", "scopes": ["check-in"], "organiser_id": house.id},
        "rotation": {"overlap_hours": 1},
        "desk order": {
            "event_id": event["event_id"],
            "lines": [{"ticket_type_id": UNKNOWN_TYPE, "quantity": 1}],
            "method": "desk",
        },
    }
    facts = {
        "organiser_id": house.id, "person_id": extra.id, "event_id": house.draft()["event_id"],
        "order_id": placed["order_id"], "number": paid["tickets"][0]["number"], "queue": "stock", "sequence_number": 1,
        "invitation_id": invited.json()["invitation_id"],
        "key_id": made_key(house.owner, "check-in", organiser_id=house.id)["key"]["key_id"],
        "doomed_key_id": made_key(house.owner, "check-in", organiser_id=house.id)["key"]["key_id"],
    }  # fmt: skip
    return World(house, people, facts, bodies, placed, paid, event)


@pytest.mark.parametrize(("method", "path"), TABLE, ids=[f"{method} {path}" for method, path in TABLE])
def test_each_endpoint_answers_each_role_as_the_tables_say(
    world: World, operations: Mapping[tuple[str, str], Json], method: str, path: str
) -> None:
    row = TABLE[method, path]
    expected = {role: expected_status(role, row, operations[method, path]) for role in ROLES}
    refused = [
        role for role in ROLES if role not in HOLDERS[operations[method, path]["x-needs"]] or role not in row.only
    ]
    before = world.state() if refused else []

    answers = {role: world.ask(role, method, path) for role in refused}

    assert {role: answer[0] for role, answer in answers.items()} == {role: expected[role] for role in refused}
    assert (world.state() if refused else []) == before
    for role in expected.keys() - set(refused):
        status, body = world.ask(role, method, path)
        assert status == expected[role], (role, body)


def test_every_endpoint_has_a_row(operations: Mapping[tuple[str, str], Json]) -> None:
    assert TABLE.keys() | NOT_FOR_PEOPLE == operations.keys()


def test_every_permission_has_its_holders(operations: Mapping[tuple[str, str], Json]) -> None:
    assert {operation["x-needs"] for operation in operations.values()} <= HOLDERS.keys()
