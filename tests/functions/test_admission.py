"""Admission over HTTP: wallets, QR codes, keys, and the door."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from local.offline import code_is_genuine
from tests.functions.selling import wallet_of
from tests.support.api import Api, Json, Organiser, Person, fields, new_key, problem, refusal, soon, type_body
from tests.support.qr import read_png, read_svg

SCANNERS = 20
FREE = [type_body(price={"amount_minor": 0, "currency": "EUR"})]


def ticket_for(api: Api, house: Organiser) -> tuple[Person, Json]:
    """Somebody with a ticket."""
    buyer = api.person(name="Uma User")
    assert buyer.order(house.event(ticket_types=FREE)).json()["state"] == "paid"
    return buyer, wallet_of(buyer, 1)[0]


def scan(person: Person, code: str, nonce: str | None = None, **more: Any) -> httpx.Response:
    return person.post("check-ins", {"code": code, "nonce": nonce or new_key(), **more})


def test_a_ticket_in_the_wallet_says_everything_its_holder_needs(api: Api, house: Organiser) -> None:
    buyer = api.person(name="Uma User")
    order = buyer.order(house.event(ticket_types=FREE)).json()

    [ticket] = wallet_of(buyer, 1)

    number = order["tickets"][0]["number"]
    assert ticket == {
        "number": number,
        "order_id": order["order_id"],
        "event": order["event"],
        "ticket_type": "Adult",
        "holder": "Uma User",
        "state": "valid",
        "issued_at": order["created_at"],
        "code": ticket["code"],
        "qr_svg": f"/api/orders/{order['order_id']}/tickets/{number}/qr.svg",
        "png": f"/api/orders/{order['order_id']}/tickets/{number}/ticket.png",
    }


def test_a_wallet_goes_page_by_page_latest_event_first(api: Api, house: Organiser) -> None:
    buyer = api.person()
    for year in (2101, 2103, 2102):
        event = house.event(ticket_types=FREE, starts_at=f"{year}-01-01T00:00:00Z", ends_at="2104-01-01T00:00:00Z")
        buyer.order(event, 2)
    wallet_of(buyer, 6)

    pages: list[list[str]] = []
    continuation: dict[str, str] = {}
    while True:
        page = buyer.get("tickets/mine", limit=4, **continuation).json()
        pages.append([ticket["event"]["starts_at"][:4] for ticket in page["items"]])
        if "continuation" not in page:
            break
        continuation = {"continuation": page["continuation"]}

    assert pages == [["2103", "2103", "2102", "2102"], ["2101", "2101"]]
    assert api.person().get("tickets/mine").json() == {"items": []}


def test_the_picture_says_what_the_code_says_and_scanners_can_check_it_without_network(
    api: Api, house: Organiser
) -> None:
    buyer, ticket = ticket_for(api, house)
    keys = api.nobody.get("ticket-keys").json()["keys"]

    picture = buyer.ask("GET", ticket["qr_svg"].removeprefix("/api/"))

    assert (picture.status_code, picture.headers["content-type"].partition(";")[0]) == (200, "image/svg+xml")
    assert picture.headers["cache-control"] == "private, max-age=3600"
    assert read_svg(picture.text) == ticket["code"]
    assert [sorted(key) for key in keys] == [["crv", "kid", "kty", "use", "x"]]
    assert code_is_genuine(ticket["code"], keys)
    for place in (0, 4, 20, len(ticket["code"]) // 2, -5):
        other = "B" if ticket["code"][place] != "B" else "C"
        forged = ticket["code"][:place] + other + ticket["code"][place:][1:]
        assert not code_is_genuine(forged, keys), forged


def test_a_qr_code_is_shown_to_its_owner_and_the_organiser_alone(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    path = ticket["qr_svg"].removeprefix("/api/")

    for allowed in (buyer, house.owner, house.operator):
        assert allowed.get(path).status_code == 200
    for stranger in (api.person(), api.person("creator"), api.organiser("Other").owner):
        assert refusal(stranger.get(path)) == (404, "not-found")
    assert refusal(api.nobody.get(path)) == (401, "token-refused")
    for number in ("nonsense", "0000-0000-0000-00-0", "%2e%2e"):
        assert refusal(buyer.get(f"orders/{ticket['order_id']}/tickets/{number}/qr.svg")) == (404, "not-found")


def test_a_ticket_is_a_picture_whose_code_is_genuine_for_its_owner_and_the_organiser_alone(
    api: Api, house: Organiser
) -> None:
    buyer, ticket = ticket_for(api, house)
    path = ticket["png"].removeprefix("/api/")

    for allowed in (buyer, house.owner, house.operator):
        picture = allowed.get(path)
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
        assert read_png(picture.content) == ticket["code"]
    assert code_is_genuine(ticket["code"], api.nobody.get("ticket-keys").json()["keys"])
    for stranger in (api.person(), api.person("creator"), api.organiser("Other").owner):
        assert refusal(stranger.get(path)) == (404, "not-found")
    assert refusal(api.nobody.get(path)) == (401, "token-refused")
    assert refusal(buyer.get(f"orders/{ticket['order_id']}/tickets/nonsense/ticket.png")) == (404, "not-found")


def test_a_void_ticket_has_no_picture(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    house.owner.post(f"orders/{ticket['order_id']}/refund")

    refused = buyer.get(ticket["png"].removeprefix("/api/"))

    assert refusal(refused) == (409, "ticket-void")
    assert refused.json()["number"] == ticket["number"]
    assert refusal(api.person().get(ticket["png"].removeprefix("/api/"))) == (404, "not-found")


def test_a_valid_ticket_lets_its_holder_in(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    door = api.person(email=house.operator.email, name="Oscar Operator")

    answer = scan(door, ticket["code"], event_id=ticket["event"]["event_id"])

    assert (answer.status_code, answer.json()) == (
        200,
        {
            "number": ticket["number"],
            "ticket_type": "Adult",
            "holder": "Uma User",
            "event": "Concert",
            "checked_in_at": answer.json()["checked_in_at"],
            "checked_in_by": "Oscar Operator",
        },
    )

    def used() -> Json | None:
        [found] = buyer.get("tickets/mine").json()["items"]
        return found if found["state"] == "used" else None

    used_ticket = {**ticket, "state": "used", "checked_in_at": answer.json()["checked_in_at"]}
    assert soon(used, "a used ticket in the wallet") == used_ticket


def test_exactly_one_of_twenty_simultaneous_scans_wins(api: Api, house: Organiser) -> None:
    _, ticket = ticket_for(api, house)
    doors = []
    for number in range(SCANNERS):
        person = api.person("user", name=f"Door {number}")
        house.owner.put(f"organisers/{house.id}/members/{person.id}", {"role": "operator"})
        doors.append(person)
    nonces = [new_key() for _ in doors]
    start = Barrier(SCANNERS)

    def at_once(number: int) -> httpx.Response:
        start.wait()
        return scan(doors[number], ticket["code"], nonces[number])

    with ThreadPoolExecutor(SCANNERS) as pool:
        answers = list(pool.map(at_once, range(SCANNERS)))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: SCANNERS - 1}
    winner = next(number for number, answer in enumerate(answers) if answer.status_code == 200)
    won = answers[winner].json()
    assert won["checked_in_by"] == f"Door {winner}"
    for number, answer in enumerate(answers):
        if number != winner:
            assert problem(answer) == {
                "type": "urn:tessera:problem:ticket-already-used",
                "title": "Ticket already used",
                "status": 409,
                "detail": f"Ticket {ticket['number']} was used at {won['checked_in_at']}, let in by Door {winner}.",
                "number": ticket["number"],
                "checked_in_at": won["checked_in_at"],
                "checked_in_by": f"Door {winner}",
            }
    again = scan(doors[winner], ticket["code"], nonces[winner])
    assert (again.status_code, again.json()) == (200, won)
    assert refusal(scan(doors[winner], ticket["code"])) == (409, "ticket-already-used")
    loser = (winner + 1) % SCANNERS
    assert refusal(scan(doors[loser], ticket["code"], nonces[winner])) == (409, "ticket-already-used")


def test_a_void_ticket_lets_nobody_in(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    house.owner.post(f"orders/{ticket['order_id']}/refund")

    refused = scan(house.operator, ticket["code"])

    assert problem(refused) == {
        "type": "urn:tessera:problem:ticket-void",
        "title": "Ticket void",
        "status": 409,
        "detail": f"Ticket {ticket['number']} is void: its order was refunded.",
        "number": ticket["number"],
    }
    soon(lambda: True if wallet_of(buyer, 1)[0] == {**ticket, "state": "void"} else None, "a void ticket")


def test_a_ticket_for_another_event_is_turned_away_unused(api: Api, house: Organiser) -> None:
    _, ticket = ticket_for(api, house)

    refused = scan(house.operator, ticket["code"], event_id=house.event()["event_id"])

    assert (refusal(refused), refused.json()["event_id"]) == ((409, "wrong-event"), ticket["event"]["event_id"])
    assert scan(house.operator, ticket["code"]).status_code == 200


def test_a_code_we_did_not_sign_is_refused(api: Api, house: Organiser) -> None:
    _, ticket = ticket_for(api, house)
    said, _, signature = ticket["code"].rpartition(".")
    version, key, order, index, event = said.split(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert (version, index) == ("T1", "1")

    for code in (
        "nonsense",
        f"{said}.{flipped}",
        f"{said}.",
        f"{said}.é",
        f"T2.{key}.{order}.{index}.{event}.{signature}",
        f"{version}.0000.{order}.{index}.{event}.{signature}",
        f"{version}.{key}.{order}.2.{event}.{signature}",
        f"{version}.{key}.{'a' * 26}.{index}.{event}.{signature}",
        f"{version}.{key}.{order}.{index}.{'a' * 26}.{signature}",
        f"{ticket['code']}A",
        f"{ticket['code']}\n",
    ):
        refused = scan(house.operator, code)
        assert (refusal(refused), refused.json()["field"]) == ((400, "code-refused"), "code"), code
    assert scan(house.operator, ticket["code"]).status_code == 200


def test_who_does_not_work_at_the_door_cannot_check_in(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    other = api.organiser("Other")

    for foreign in (other.operator, other.owner):
        assert problem(scan(foreign, ticket["code"])) == {
            "type": "urn:tessera:problem:not-found",
            "title": "Not found",
            "status": 404,
            "detail": f"There is no ticket {ticket['number']}.",
        }
    for plain in (buyer, house.creator, api.person("operator"), api.person("creator")):
        assert refusal(scan(plain, ticket["code"])) == (403, "permission-missing")
    assert refusal(scan(api.nobody, ticket["code"])) == (401, "token-refused")
    assert wallet_of(buyer, 1) == [ticket]
    assert scan(house.operator, ticket["code"]).status_code == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({}, ["code", "nonce"]),
        ({"code": "x", "nonce": "short"}, ["nonce"]),
        ({"code": "x", "nonce": "x" * 65}, ["nonce"]),
        ({"code": "x", "nonce": "two words"}, ["nonce"]),
        ({"code": "", "nonce": "12345678"}, ["code"]),
        ({"code": "x" * 401, "nonce": "12345678"}, ["code"]),
        ({"code": "x", "nonce": "12345678", "event_id": "x"}, ["event_id"]),
        ({"code": "x", "nonce": "12345678", "door": 1}, ["door"]),
    ],
)
def test_a_scan_outside_the_rules_is_refused(api: Api, body: Json, named: list[str]) -> None:
    assert fields(api.person("admin").post("check-ins", body)) == named


def test_an_orders_tickets_are_shown_once_it_is_paid(api: Api, house: Organiser) -> None:
    buyer, ticket = ticket_for(api, house)
    waiting = buyer.order(house.event()).json()

    shown = buyer.get(f"orders/{ticket['order_id']}/tickets")

    assert (shown.status_code, shown.json()) == (200, {"items": [ticket]})
    for without in (waiting["order_id"], "ord_" + "a" * 26):
        assert refusal(buyer.get(f"orders/{without}/tickets")) == (404, "not-found")
