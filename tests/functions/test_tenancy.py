"""Who may do what to whose things (E16): every endpoint against every role, and memberships that change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pytest

from tests.support.api import Api, Json, Organiser, Person, new_key, refusal, soon, type_body, venue_body

UNKNOWN_TYPE: Final = "tty_" + "a" * 26
# Own owner, creator, operator | the other organiser's owner, creator, operator | the order's buyer, another user,
# a creator and an operator who work for nobody, an admin | nobody signed in, the insights key.
ROLES: Final = (
    "owner", "creator", "operator", "other-owner", "other-creator", "other-operator",
    "buyer", "user", "free-creator", "free-operator", "admin", "nobody", "insights",
)  # fmt: skip
MANAGE: Final = (200, 200, 403, 404, 404, 403, 403, 403, 403, 403, 200, 401, 401)
CREATE: Final = (201, 201, 403, 404, 404, 403, 403, 403, 403, 403, 201, 401, 401)
MANAGE_ENDED: Final = (409, 409, 403, 404, 404, 403, 403, 403, 403, 403, 409, 401, 401)
EVERYBODY: Final = (200,) * 11 + (401, 401)
PUBLIC: Final = (200,) * 13
OPERATE: Final = (403,) * 10 + (200, 401, 401)
TABLE: Final[Mapping[tuple[str, str], tuple[int, ...]]] = {
    ("GET", "/api/events"): EVERYBODY,
    ("GET", "/api/events/facets"): EVERYBODY,
    ("GET", "/api/events/{event_id}"): (200, 200, 404, 404, 404, 404, 404, 404, 404, 404, 200, 401, 401),  # a draft
    # A body without a name, so that nothing is created: who may create is told so.
    ("POST", "/api/organisers"): (400, 403, 403, 400, 403, 403, 403, 403, 400, 403, 400, 401, 401),
    ("POST", "/api/organisers/{organiser_id}/venues"): CREATE,
    ("GET", "/api/organisers/{organiser_id}/venues"): MANAGE,
    ("GET", "/api/organisers/{organiser_id}/events"): MANAGE,
    ("POST", "/api/events"): CREATE,
    ("PUT", "/api/events/{event_id}"): MANAGE,
    ("POST", "/api/events/{event_id}/publish"): MANAGE,  # published already, so that it is given as it is
    ("POST", "/api/events/{event_id}/cancel"): MANAGE_ENDED,  # still a draft
    # At the desk, for a ticket type that is not there: 404 is past the permission.
    ("POST", "/api/orders"): (404, 403, 404, 403, 403, 403, 403, 403, 403, 403, 404, 401, 401),
    ("POST", "/api/orders/{order_id}/checkout"): (404, 404, 404, 404, 404, 404, 200, 404, 404, 404, 404, 401, 401),
    ("GET", "/api/orders/{order_id}"): (200, 200, 200, 404, 404, 404, 200, 404, 404, 404, 200, 401, 401),
    ("POST", "/api/orders/{order_id}/cancel"): (409, 409, 409, 404, 404, 404, 409, 404, 404, 404, 409, 401, 401),
    ("POST", "/api/orders/{order_id}/refund"): (409, 403, 409, 404, 403, 404, 403, 403, 403, 403, 409, 401, 401),
    ("GET", "/api/orders/{order_id}/tickets/{number}/qr.svg"): (
        200, 200, 200, 404, 404, 404, 200, 404, 404, 404, 200, 401, 401,
    ),
    ("GET", "/api/orders/{order_id}/tickets/{number}/ticket.png"): (
        200, 200, 200, 404, 404, 404, 200, 404, 404, 404, 200, 401, 401,
    ),
    ("GET", "/api/orders/{order_id}/tickets"): (200, 200, 200, 404, 404, 404, 200, 404, 404, 404, 200, 401, 401),
    ("POST", "/api/check-ins"): (409, 403, 409, 404, 403, 404, 403, 403, 403, 403, 409, 401, 401),  # a void ticket
    ("GET", "/api/tickets/mine"): EVERYBODY,
    ("GET", "/api/me"): EVERYBODY,
    ("PUT", "/api/organisers/{organiser_id}/members/{person_id}"): (
        200, 403, 403, 404, 403, 403, 403, 403, 403, 403, 200, 401, 401,
    ),
    ("DELETE", "/api/organisers/{organiser_id}/members/{person_id}"): (
        204, 403, 403, 404, 403, 403, 403, 403, 403, 403, 204, 401, 401,
    ),
    ("POST", "/api/operations/inventory-audit"): OPERATE,
    ("GET", "/api/operations/counters"): OPERATE,
    ("GET", "/api/operations/audit"): OPERATE,
    ("GET", "/api/operations/dead-letters"): OPERATE,
    ("GET", "/api/operations/dead-letters/{queue}"): OPERATE,
    ("GET", "/api/operations/dead-letters/{queue}/{sequence_number}"): (403,) * 10 + (404, 401, 401),
    # An empty body, so that nothing is done: who may do it is told what is missing.
    ("POST", "/api/operations/dead-letters/{queue}/replay"): (403,) * 10 + (400, 401, 401),
    ("POST", "/api/operations/dead-letters/{queue}/discard"): (403,) * 10 + (400, 401, 401),
    ("GET", "/api/insights/events"): (401,) * 12 + (200,),
    ("GET", "/api/metrics"): (401,) * 12 + (200,),
    ("GET", "/api/ticket-keys"): PUBLIC,
    ("GET", "/api/health/live"): PUBLIC,
    ("GET", "/api/health/ready"): PUBLIC,
    ("GET", "/api/openapi.json"): PUBLIC,
    ("GET", "/api/docs"): PUBLIC,
    ("GET", "/api/checkout/result"): PUBLIC,
}  # fmt: skip
NOT_FOR_PEOPLE: Final = {("POST", "/api/payments/stripe")}


@dataclass
class World:
    """Two organisers; the first has one of everything."""

    house: Organiser
    people: dict[str, Person]
    draft: Json
    event: Json
    placed: Json
    paid: Json
    void_code: str
    events: int = 2

    def ask(self, role: str, method: str, path: str) -> tuple[int, str]:
        """What `role` gets: the status, and the body where it was let in."""
        answer = self.people[role].ask(method, self.path(method, path), **self.more(method, path))
        self.events += (method, path, answer.status_code) == ("POST", "/api/events", 201)
        return answer.status_code, answer.text

    def path(self, method: str, path: str) -> str:
        event = self.event if path.endswith("publish") else self.draft
        order = self.paid if path.endswith(("cancel", "qr.svg", "ticket.png", "tickets")) else self.placed
        return path.removeprefix("/api/").format(
            organiser_id=self.house.id,
            person_id="per_" + "b" * 26,
            event_id=event["event_id"],
            order_id=order["order_id"],
            number=self.paid["tickets"][0]["number"],
            queue="stock",
            sequence_number=1,
        )

    def more(self, method: str, path: str) -> Json:
        details = self.house.event_body()
        del details["organiser_id"]
        bodies: dict[tuple[str, str], Json] = {
            ("POST", "/api/organisers"): {},
            ("POST", "/api/operations/dead-letters/{queue}/replay"): {},
            ("POST", "/api/operations/dead-letters/{queue}/discard"): {},
            ("POST", "/api/organisers/{organiser_id}/venues"): venue_body(),
            ("POST", "/api/events"): self.house.event_body(),
            ("PUT", "/api/events/{event_id}"): details,
            ("POST", "/api/check-ins"): {"code": self.void_code, "nonce": new_key()},
            ("PUT", "/api/organisers/{organiser_id}/members/{person_id}"): {"role": "operator"},
            ("POST", "/api/orders"): {
                "event_id": self.event["event_id"],
                "lines": [{"ticket_type_id": UNKNOWN_TYPE, "quantity": 1}],
                "method": "desk",
            },
        }
        more: Json = {"headers": {"idempotency-key": new_key()}}
        if (method, path) in bodies:
            more["json"] = bodies[method, path]
        if path == "/api/insights/events":
            more["params"] = {"organiser_id": self.house.id}
        return more

    def state(self) -> list[Json]:
        """What must not change under a stranger's hands."""
        owner, house = self.house.owner, self.house
        return [
            owner.get(f"events/{self.draft['event_id']}").json(),
            owner.get(f"events/{self.event['event_id']}").json(),
            owner.get(f"orders/{self.placed['order_id']}").json(),
            owner.get(f"orders/{self.paid['order_id']}").json(),
            owner.get(f"organisers/{house.id}/venues", limit=100).json(),
            soon(self._own_list, "the organiser's list up to date"),
        ]

    def _own_list(self) -> Json | None:
        page: Json = self.house.owner.get(f"organisers/{self.house.id}/events", limit=100).json()
        return page if len(page["items"]) >= self.events else None


@pytest.fixture(scope="module")
def world(api: Api) -> World:
    house, other = api.organiser("Riverside"), api.organiser("Hillview")
    buyer = api.person()
    people = {
        "owner": house.owner, "creator": house.creator, "operator": house.operator,
        "other-owner": other.owner, "other-creator": other.creator, "other-operator": other.operator,
        "buyer": buyer, "user": api.person("user"), "free-creator": api.person("creator"),
        "free-operator": api.person("operator"), "admin": api.person("admin"), "nobody": api.nobody,
        "insights": api.insights,
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
    return World(house, people, house.draft(), event, placed, paid, soon(void_code, "a void ticket"))


@pytest.mark.parametrize(("method", "path"), TABLE, ids=[f"{method} {path}" for method, path in TABLE])
def test_each_endpoint_answers_each_role_as_the_table_says(world: World, method: str, path: str) -> None:
    expected = dict(zip(ROLES, TABLE[method, path], strict=True))
    refused = [role for role, status in expected.items() if status in {401, 403, 404}]
    before = world.state() if refused else []

    answers = {role: world.ask(role, method, path) for role in refused}

    assert {role: answer[0] for role, answer in answers.items()} == {role: expected[role] for role in refused}
    assert (world.state() if refused else []) == before
    for role in expected.keys() - set(refused):
        status, body = world.ask(role, method, path)
        assert status == expected[role], (role, body)


def test_the_table_knows_every_endpoint(api: Api) -> None:
    paths = api.nobody.get("openapi.json").json()["paths"]
    every = {(method.upper(), path) for path, item in paths.items() for method in item}

    assert TABLE.keys() | NOT_FOR_PEOPLE == every


def test_me_tells_who_i_am_here(api: Api) -> None:
    me = api.person("creator", "operator", name="Clara Creator")

    answer = me.get("me")

    assert answer.json() == {
        "person_id": me.id,
        "name": "Clara Creator",
        "email": me.email,
        "roles": ["creator", "operator"],
        "memberships": {},
    }
    assert api.person(email=me.email).id == me.id
    assert api.person().id != me.id


def test_a_membership_given_changed_and_taken_takes_effect(api: Api) -> None:
    house, person = api.organiser(), api.person()
    member = f"organisers/{house.id}/members/{person.id}"
    venues = f"organisers/{house.id}/venues"
    assert refusal(person.get(venues)) == (403, "permission-missing")

    given = house.owner.put(member, {"role": "creator"})

    assert (given.status_code, given.json()) == (
        200,
        {"person_id": person.id, "organiser_id": house.id, "role": "creator"},
    )
    assert person.get("me").json()["memberships"] == {house.id: "creator"}
    assert person.get(venues).status_code == 200
    house.owner.put(member, {"role": "operator"})
    assert refusal(person.get(venues)) == (403, "permission-missing")
    assert person.order(house.event(), method="desk").status_code == 201
    assert house.owner.delete(member).status_code == 204
    assert person.get("me").json()["memberships"] == {}
    assert refusal(person.order(house.event(), method="desk")) == (403, "permission-missing")
    assert house.owner.delete(member).status_code == 204


@pytest.mark.parametrize("role", ["admin", "OWNER", "", None, 1])
def test_a_role_that_does_not_exist_is_refused(api: Api, house: Organiser, role: object) -> None:
    person = api.person()

    refused = house.owner.put(f"organisers/{house.id}/members/{person.id}", {"role": role})

    assert refusal(refused) == (400, "request-refused")
    assert person.get("me").json()["memberships"] == {}
