"""Service keys: shown once, good for what they were made for, rotated with an overlap, revoked, and known by sight."""

import re
from typing import Any

import pytest

from shared.auth.service_tokens import make_token, new_key_id, parse_token
from tests.support.api import Api, Json, Organiser, Person, fields, new_key, problem, refusal
from tests.support.leaks import contents


def make(by: Person, *scopes: str, **more: Any) -> Json:
    answer = by.post("service-keys", {"name": "Door 3", "scopes": list(scopes), **more})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def listed(by: Person, **query: Any) -> dict[str, Json]:
    items: list[Json] = by.get("service-keys", limit=100, **query).json()["items"]
    return {item["key_id"]: item for item in items}


def test_a_scanners_key_lets_people_in_and_does_nothing_else(api: Api, house: Organiser) -> None:
    made = make(house.owner, "check-in", organiser_id=house.id)
    door = api.bearer(made["token"])
    order = house.operator.paid(house.event())
    code = house.operator.get(f"orders/{order['order_id']}/tickets").json()["items"][0]["code"]

    let_in = door.post("check-ins", {"code": code, "nonce": new_key()})

    assert let_in.status_code == 200, let_in.text
    again = house.operator.post("check-ins", {"code": code, "nonce": new_key()})
    assert problem(again)["checked_in_by"] == "Door 3"
    for method, path in (("GET", "me"), ("GET", "tickets/mine"), ("GET", f"organisers/{house.id}/venues")):
        assert refusal(door.ask(method, path)) == (403, "permission-missing")
    assert refusal(door.order(house.event(), method="desk")) == (403, "permission-missing")


def test_a_key_of_one_organiser_finds_nothing_of_another(api: Api, house: Organiser) -> None:
    other = api.organiser("Hillview")
    key = api.bearer(make(other.owner, "check-in", "manage-events", organiser_id=other.id)["token"])

    assert key.get(f"organisers/{other.id}/venues").status_code == 200
    assert refusal(key.get(f"organisers/{house.id}/venues")) == (404, "not-found")
    reader = api.bearer(make(other.owner, "browse", "manage-events", organiser_id=other.id)["token"])
    assert reader.get(f"events/{other.draft()['event_id']}").status_code == 200
    assert refusal(reader.get(f"events/{house.draft()['event_id']}")) == (404, "not-found")


def test_the_token_is_shown_once_and_kept_nowhere(api: Api, house: Organiser) -> None:
    made = make(house.owner, "check-in", organiser_id=house.id)
    token, key_id = made["token"], made["key"]["key_id"]

    assert re.fullmatch(r"tsk_[a-z2-7]{26}_[a-z2-7]{59}", token)
    assert token not in house.owner.get("service-keys", organiser_id=house.id).text
    secret = token.removeprefix(key_id)
    kept = [path for path, content in contents(api.stack.data) if secret.encode() in content]
    assert kept == []


def test_a_rotated_keys_old_token_is_good_for_the_overlap_and_no_older_one(api: Api, house: Organiser) -> None:
    made = make(house.owner, "manage-events", organiser_id=house.id)
    rotate, venues = f"service-keys/{made['key']['key_id']}/rotate", f"organisers/{house.id}/venues"

    second = house.owner.post(rotate, {"overlap_hours": 24}).json()
    assert [api.bearer(token).get(venues).status_code for token in (made["token"], second["token"])] == [200, 200]
    third = house.owner.post(rotate, {"overlap_hours": 0}).json()

    assert api.bearer(third["token"]).get(venues).status_code == 200
    assert second["key"]["before_until"] < made["key"]["expires_at"]
    # The processes that saw the others believe them for 30 s more; one that comes to know them now does not.
    fresh = listed(house.owner, organiser_id=house.id)[made["key"]["key_id"]]
    assert fresh["before_until"] == third["key"]["before_until"]


def test_a_revoked_key_is_refused_and_its_use_was_noted(api: Api, house: Organiser) -> None:
    made = make(house.owner, "manage-events", organiser_id=house.id)
    key_id, machine = made["key"]["key_id"], api.bearer(made["token"])
    assert machine.get(f"organisers/{house.id}/venues").status_code == 200
    assert listed(house.owner, organiser_id=house.id)[key_id]["last_used_at"] >= made["key"]["created_at"]

    path = f"service-keys/{key_id}"
    revoked = [house.owner.delete(path).status_code for _ in range(2)]

    assert revoked == [204, 204]
    assert refusal(machine.get(f"organisers/{house.id}/venues")) == (401, "token-refused")
    assert "revoked_at" in listed(house.owner, organiser_id=house.id)[key_id]
    again = house.owner.post(f"{path}/rotate", {})
    assert refusal(again) == (409, "service-key-over")


def test_a_key_that_was_cut_off_made_up_or_is_nobodys_is_refused(api: Api, house: Organiser) -> None:
    token = make(house.owner, "manage-events", organiser_id=house.id)["token"]
    flipped = token[:-8] + ("a" if token[-8] != "a" else "b") + token[-7:]

    for wrong in (token[:-1], flipped, token.upper(), make_token(new_key_id()), "tsk_", "tsk_" + "a" * 200):
        assert refusal(api.bearer(wrong).get(f"organisers/{house.id}/venues")) == (401, "token-refused")
    assert parse_token(flipped) is None
    assert parse_token(token) is not None


def test_another_organisers_key_cannot_be_rotated_or_revoked(api: Api, house: Organiser) -> None:
    made, other = make(house.owner, "check-in", organiser_id=house.id), api.organiser("Hillview")
    path = f"service-keys/{made['key']['key_id']}"

    assert refusal(other.owner.post(f"{path}/rotate", {})) == (404, "not-found")
    assert refusal(other.owner.delete(path)) == (404, "not-found")
    assert "revoked_at" not in listed(house.owner, organiser_id=house.id)[made["key"]["key_id"]]


def test_a_leaked_key_is_revoked_by_its_token_and_its_token_is_told_nobody(api: Api, house: Organiser) -> None:
    made, admin = make(house.owner, "manage-events", organiser_id=house.id), api.person("admin")

    missed = api.organiser("Hillview").owner.delete(f"service-keys/{made['token']}")
    assert refusal(missed) == (404, "not-found")
    assert admin.delete(f"service-keys/{made['token']}").status_code == 204

    assert refusal(api.bearer(made["token"]).get(f"organisers/{house.id}/venues")) == (401, "token-refused")
    trail = house.owner.get(f"organisers/{house.id}/audit", limit=200)
    newest = trail.json()["items"][0]
    assert (newest["what"], newest["target"]) == ("identity_revoke_service_key", "malformed")
    assert newest["details"]["key_id"] == made["key"]["key_id"]
    secret = made["token"].removeprefix(made["key"]["key_id"])
    assert secret not in trail.text
    assert secret not in missed.text


def test_only_admins_make_keys_for_the_whole_platform(api: Api, house: Organiser) -> None:
    assert refusal(house.owner.post("service-keys", {"name": "All", "scopes": ["check-in"]})) == (
        403,
        "permission-missing",
    )

    everywhere = make(api.person("admin"), "manage-events", "read-metrics")

    machine = api.bearer(everywhere["token"])
    assert machine.get(f"organisers/{house.id}/venues").status_code == 200
    assert machine.get("metrics").status_code == 200
    assert everywhere["key"]["key_id"] in listed(api.person("admin"))


@pytest.mark.parametrize("scope", ["operate", "read-insights", "buy", "manage-members", "manage-keys", "refund"])
def test_a_scope_that_is_for_people_or_the_platform_is_refused_to_an_organisers_key(
    house: Organiser, scope: str
) -> None:
    body = {"name": "Greedy", "scopes": ["check-in", scope], "organiser_id": house.id}

    refused = house.owner.post("service-keys", body)

    assert refusal(refused) == (400, "malformed")
    assert (problem(refused)["field"], "check-in" in problem(refused)["allowed"]) == ("scopes", True)
    assert listed(house.owner, organiser_id=house.id) == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["everything"]}, "scopes.0"),
        ({"expires_in_days": 0}, "expires_in_days"),
        ({"expires_in_days": 401}, "expires_in_days"),
        ({"organiser_id": "mine"}, "organiser_id"),
        ({"secret": "chosen"}, "secret"),
    ],
    ids=str,
)
def test_a_key_that_cannot_be_is_not_made(house: Organiser, change: Json, field: str) -> None:
    body = {"name": "Door", "scopes": ["check-in"], "organiser_id": house.id, **change}

    assert fields(house.owner.post("service-keys", body)) == [field]
    assert listed(house.owner, organiser_id=house.id) == {}
