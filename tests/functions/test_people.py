"""People through the API: their own account, what is held of them, being forgotten, and admins who administer them."""

import uuid
from typing import Any

import httpx
import jwt
import pytest

from shared.kernel.ids import person_id_of
from tests.support.api import Api, Json, Organiser, Person, fields, refusal, soon

FREE: Json = {"ticket_types": [{"name": "Free", "price": {"amount_minor": 0, "currency": "EUR"}, "pool": "Hall"}]}


def account(admin: Person, **changes: Any) -> Json:
    """A new account, as an admin makes one."""
    body = {"email": f"u-{uuid.uuid4().hex[:12]}@tessera.example", "name": "Nora New", **changes}
    answer = admin.post("users", body)
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def inbox(api: Api, address: str) -> list[Json]:
    """The mails that came to an address."""
    found = httpx.get(f"{api.stack.mailbox_url}/api/messages", params={"to": address}).raise_for_status()
    mails: list[Json] = found.json()["messages"]
    return mails


def gone(api: Api, person: Person, house: Organiser, order: Json) -> Json:
    """The order as its organiser sees it, as soon as the person is gone from it."""

    def look() -> Json | None:
        shown: Json = house.owner.get(f"orders/{order['order_id']}").json()
        return shown if shown["buyer_name"] == "" else None

    return soon(look, "the order without its buyer")


def test_people_say_what_they_are_called_and_in_which_language_they_are_spoken_to(api: Api) -> None:
    person = api.person(name="Uta Unsaid")
    before = person.get("me").json()

    changed = person.ask("PATCH", "me", json={"name": "Uta Said", "locale": "de-CH"})

    assert before == {
        "person_id": person.id, "name": "Uta Unsaid", "email": person.email, "locale": "", "roles": ["user"],
        "memberships": {},
    }  # fmt: skip
    assert changed.json() == {**before, "name": "Uta Said", "locale": "de-CH"}
    assert person.ask("PATCH", "me", json={"locale": "fr"}).json() == {**changed.json(), "locale": "fr"}
    assert api.person(email=person.email, name="Uta Unsaid").get("me").json()["name"] == "Uta Said"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"locale": "deutsch und englisch"}, "locale"),
        ({"locale": "x" * 60}, "locale"),
        ({"email": "other@tessera.example"}, "email"),
        ({"roles": ["admin"]}, "roles"),
        ({}, ""),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused_and_stays(api: Api, body: Json, field: str) -> None:
    person = api.person()
    before = person.get("me").json()

    assert field in fields(person.ask("PATCH", "me", json=body))
    assert person.get("me").json() == before


def test_the_export_is_a_document_of_ones_own_orders_tickets_and_profile(api: Api, house: Organiser) -> None:
    event, person, other = house.event(**FREE), api.person(), api.person()
    mine, theirs = person.order(event).json(), other.order(event).json()
    soon(lambda: person.get("tickets/mine").json()["items"] or None, "the ticket in the wallet")
    person.get("me")

    answer = person.get("me/export")

    document = answer.json()
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    assert (document["person_id"], document["complete"]) == (person.id, True)
    assert sorted(each["kind"] for each in document["held"]) == ["order", "profile", "ticket", "ticket"]
    assert mine["order_id"] in answer.text
    assert person.email in answer.text
    assert theirs["order_id"] not in answer.text
    assert other.email not in answer.text


def test_whoever_is_erased_is_let_in_no_more_and_their_orders_lose_them(api: Api, house: Organiser) -> None:
    event, person = house.event(**FREE), api.person(name="Gaby Gone")
    order = person.order(event, 2).json()
    before, person_id = house.owner.get(f"orders/{order['order_id']}").json(), person.id
    soon(lambda: len(person.get("tickets/mine").json()["items"]) == 2 or None, "both tickets in the wallet")

    refused = person.delete("me")
    unsure = person.ask("DELETE", "me", params={"confirm": "yes"})
    erased = person.ask("DELETE", "me", params={"confirm": "true"})

    assert fields(unsure) == ["confirm"]
    assert refusal(refused) == (409, "tickets-at-stake")
    assert refused.json()["tickets"] == ["2 × “Concert” on 2100-05-01"]
    assert (erased.status_code, erased.json()["person_id"]) == (202, person_id)
    assert refusal(person.get("me")) == (403, "account-erased")
    assert refusal(person.order(event)) == (403, "account-erased")
    after = gone(api, person, house, order)
    assert before["buyer_name"] == "Gaby Gone"
    assert after == {**before, "buyer_name": ""}
    known = api.person("admin").get(f"users/{person.id}")
    assert refusal(known) == (404, "not-found")


def test_the_only_owner_of_an_organiser_cannot_go(api: Api, house: Organiser) -> None:
    refused = house.owner.ask("DELETE", "me", params={"confirm": "true"})

    assert refusal(refused) == (409, "last-owner")
    assert refused.json()["organisers"] == [house.id]
    assert house.owner.get("me").status_code == 200


def test_roles_that_an_admin_gives_count_instead_of_the_tokens(api: Api) -> None:
    admin, person = api.person("admin"), api.person("user")
    path = f"users/{person.id}/roles"

    given = admin.put(path, {"roles": ["creator", "user"]})

    assert given.json()["roles"] == ["creator", "user"]
    assert person.get("me").json()["roles"] == ["creator", "user"]
    assert person.post("organisers", {"name": "A club"}).status_code == 201
    assert admin.put(path, {"roles": ["creator", "user"]}).status_code == 200
    assert "roles" not in admin.put(path, {"roles": None}).json()
    assert refusal(person.post("organisers", {"name": "A club"})) == (403, "permission-missing")
    for wrong in ([], ["root"], ["user"] * 5, "admin"):
        assert refusal(admin.put(path, {"roles": wrong})) == (400, "request-refused")


def test_whoever_is_disabled_is_out_though_their_token_is_good_and_comes_back_when_enabled(api: Api) -> None:
    admin, person = api.person("admin"), api.person()
    assert person.get("me").status_code == 200

    for _ in range(2):
        assert admin.post(f"users/{person.id}/disable").status_code == 204
        assert refusal(person.get("me")) == (403, "account-disabled")
        assert admin.get(f"users/{person.id}").json()["disabled"] is True
    for _ in range(2):
        assert admin.post(f"users/{person.id}/enable").status_code == 204
        assert person.get("me").status_code == 200


def test_admins_leave_their_own_account_to_another_admin(api: Api) -> None:
    admin = api.person("admin")
    path = f"users/{admin.id}"

    answers = [
        admin.post(f"{path}/disable"),
        admin.put(f"{path}/roles", {"roles": ["user"]}),
        admin.ask("DELETE", path),
        admin.ask("DELETE", "me", params={"confirm": "true"}),
    ]

    assert [refusal(answer) for answer in answers] == [(409, "own-account")] * 4
    assert admin.get("me").json()["roles"] == ["admin"]
    assert admin.get(path).json()["disabled"] is False


def test_a_person_in_the_directory_is_the_bearer_of_their_token(api: Api) -> None:
    admin, uma = api.person("admin"), api.person(email="uma@tessera.example")

    [found] = [each for each in admin.get("users", text="uma").json()["items"] if each["email"] == uma.email]

    assert found["person_id"] == uma.id
    assert admin.get(f"users/{uma.id}").json()["account"] == found


def test_an_account_is_made_once_for_an_address_and_lives_and_dies_with_its_person(api: Api) -> None:
    admin = api.person("admin")
    made = account(admin)
    person_id, email = made["account"]["person_id"], made["account"]["email"]
    again = admin.post("users", {"email": email, "name": "Somebody Else"}).json()
    again["account"].pop("created_at", None)
    made["account"].pop("created_at", None)

    assert made["created"] is True
    assert again == {"account": made["account"], "created": False}
    shown = admin.get(f"users/{person_id}").json()
    assert (shown["name"], shown["email"], shown["account"]["enabled"], shown["disabled"]) == (
        "Nora New", email, True, False,
    )  # fmt: skip
    assert "seen_at" not in shown
    renamed = admin.ask("PATCH", f"users/{person_id}", json={"name": "Nora Now"}).json()
    assert (renamed["name"], renamed["account"]["name"]) == ("Nora Now", "Nora Now")
    assert admin.post(f"users/{person_id}/disable").status_code == 204
    assert admin.get(f"users/{person_id}").json()["account"]["enabled"] is False
    assert admin.post(f"users/{person_id}/enable").status_code == 204
    assert admin.ask("DELETE", f"users/{person_id}").status_code == 204
    assert refusal(admin.post(f"users/{person_id}/enable"))[0] in {404, 409}
    soon(lambda: admin.get("users", text=email).json()["items"] == [] or None, "the account gone")
    assert admin.ask("DELETE", f"users/{person_id}").status_code == 204


def test_whoever_gets_an_account_is_told_by_mail_once(api: Api) -> None:
    admin = api.person("admin")
    told = account(admin)["account"]["email"]
    quiet = account(admin, invite=False)["account"]["email"]
    last = account(admin)["account"]["email"]
    admin.post("users", {"email": told, "name": "Nora New"})

    [mail] = soon(lambda: inbox(api, told) or None, "the mail")
    soon(lambda: inbox(api, last) or None, "the last mail")

    assert mail["subject"] == "You have an account at Tessera"
    assert (len(inbox(api, told)), inbox(api, quiet)) == (1, [])


def test_nobody_is_shown_renamed_or_erased_of_whom_nothing_is_held(api: Api) -> None:
    admin, nobody = api.person("admin"), "per_" + "z" * 26

    answers = [
        admin.get(f"users/{nobody}"),
        admin.ask("PATCH", f"users/{nobody}", json={"name": "A"}),
        admin.ask("DELETE", f"users/{nobody}"),
    ]

    assert [refusal(answer) for answer in answers] == [(404, "not-found")] * 3


def test_whoever_never_asked_who_they_are_can_be_disabled_and_demoted(api: Api, house: Organiser) -> None:
    admin, quiet = api.person("admin"), api.person("creator")
    claims = jwt.decode(quiet.token, options={"verify_signature": False})
    person_id = person_id_of(claims["iss"], claims["oid"])
    assert quiet.order(house.event(**FREE)).status_code == 201

    demoted = admin.put(f"users/{person_id}/roles", {"roles": ["user"]})

    assert demoted.json() == {
        "person_id": person_id, "name": "", "email": "", "locale": "", "roles": ["user"], "disabled": False,
        "memberships": {},
    }  # fmt: skip
    assert quiet.get("me").json()["roles"] == ["user"]
    assert admin.post(f"users/{person_id}/disable").status_code == 204
    assert refusal(quiet.get("me")) == (403, "account-disabled")
