"""The audit trail: who did what to what, when, under which correlation id; added to and never changed."""

from tests.support.api import Api, Json, Organiser, Person, new_key, refusal


def trail(by: Person, path: str) -> list[Json]:
    """Entries of this month, the oldest first."""
    found: list[Json] = by.get(path, limit=200).json()["items"]
    return list(reversed(found))


def house_trail(house: Organiser) -> list[Json]:
    return trail(house.owner, f"organisers/{house.id}/audit")


def told(entries: list[Json]) -> list[tuple[str, str, str]]:
    return [(entry["what"], entry["step"], entry["target"]) for entry in entries]


def test_what_is_done_to_members_is_told_before_and_after_with_its_correlation_id(api: Api, house: Organiser) -> None:
    person, before = api.person(), len(house_trail(house))
    path = f"organisers/{house.id}/members/{person.id}"

    house.owner.ask("PUT", path, json={"role": "creator"}, headers={"x-correlation-id": "cor-of-the-test"})

    intent, outcome = house_trail(house)[before:]
    assert told([intent, outcome]) == [
        ("identity_set_member", "intent", person.id),
        ("identity_set_member", "outcome", person.id),
    ]
    assert intent["audit_id"] == outcome["audit_id"]
    assert {entry["who"] for entry in (intent, outcome)} == {house.owner.id}
    assert {entry["correlation_id"] for entry in (intent, outcome)} == {"cor-of-the-test"}
    assert outcome["details"] == {"role": "creator", "refused": ""}


def test_what_was_refused_by_a_rule_is_told_and_what_nobody_may_ask_is_not(api: Api, house: Organiser) -> None:
    before = len(house_trail(house))

    house.owner.delete(f"organisers/{house.id}/members/{house.owner.id}")
    house.creator.delete(f"organisers/{house.id}/members/{house.owner.id}")
    api.organiser("Hillview").owner.delete(f"organisers/{house.id}/members/{house.owner.id}")

    added = house_trail(house)[before:]
    assert [entry["details"] for entry in added] == [{}, {"refused": "last-owner"}]


def test_events_orders_and_keys_are_told_to_their_organiser_with_who_did_it(api: Api, house: Organiser) -> None:
    event = house.event()
    order = house.operator.paid(event)
    before = len(house_trail(house))
    key = house.owner.post(
        "service-keys", {"name": "A site", "scopes": ["manage-events"], "organiser_id": house.id}
    ).json()

    api.bearer(key["token"]).post(f"events/{event['event_id']}/cancel")
    house.operator.post(f"orders/{order['order_id']}/refund")

    added = house_trail(house)[before:]
    assert [(entry["what"], entry["who"], entry["target"]) for entry in added if entry["step"] == "outcome"] == [
        ("identity_make_service_key", house.owner.id, ""),
        ("catalog_cancel_event", key["key"]["key_id"], event["event_id"]),
        ("sales_refund_order", house.operator.id, order["order_id"]),
    ]
    assert key["token"] not in str(added)


def test_what_admins_do_to_people_is_the_platforms_to_know(api: Api, house: Organiser) -> None:
    admin, person = api.person("admin"), api.person()
    person.get("me")

    admin.put(f"users/{person.id}/roles", {"roles": ["operator"]})
    admin.post(f"users/{person.id}/disable")

    mine = [entry for entry in trail(admin, "operations/audit") if entry["target"] == person.id]
    assert told(mine) == [
        ("identity_set_user_roles", "intent", person.id),
        ("identity_set_user_roles", "outcome", person.id),
        ("identity_disable_user", "intent", person.id),
        ("identity_disable_user", "outcome", person.id),
    ]
    assert mine[1]["details"]["roles"] == "operator"
    assert person.id not in str(house_trail(house))
    assert refusal(person.get("me")) == (403, "account-disabled")


def test_an_invitation_is_told_without_the_address_it_went_to(house: Organiser) -> None:
    house.owner.post(f"organisers/{house.id}/invitations", {"email": "quiet@tessera.example", "role": "operator"})

    entries = house_trail(house)

    assert entries[-1]["what"] == "identity_invite_member"
    assert "quiet@tessera.example" not in str(entries)


def test_the_trail_is_read_by_owners_and_changed_by_nobody(api: Api, house: Organiser) -> None:
    path = f"organisers/{house.id}/audit"

    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert house.owner.ask(method, path).status_code == 405
    assert refusal(house.creator.get(path)) == (403, "permission-missing")
    assert refusal(api.organiser("Hillview").owner.get(path)) == (404, "not-found")


def test_the_same_creation_repeated_is_told_each_time_and_made_once(house: Organiser) -> None:
    key, body = new_key(), house.event_body()
    before = len(house_trail(house))

    made = [house.owner.post("events", body, key=key).json()["event_id"] for _ in range(2)]

    assert made[0] == made[1]
    assert [entry["details"].get("event_id") for entry in house_trail(house)[before:]] == [None, made[0], None, made[0]]


def test_a_stranger_writes_into_nobodys_trail_whatever_they_name(api: Api, house: Organiser) -> None:
    stranger, admin = api.person(), api.person("admin")
    before = house_trail(house), [e for e in trail(admin, "operations/audit") if e["who"] == stranger.id]

    for name in (house.id, "platform", "org_" + "a" * 26, "x" * 200):
        assert refusal(stranger.delete(f"me/memberships/{name}")) == (404, "not-found")

    assert (house_trail(house), [e for e in trail(admin, "operations/audit") if e["who"] == stranger.id]) == before


def test_what_is_no_id_is_not_told(api: Api) -> None:
    admin = api.person("admin")

    assert refusal(admin.post("users/quiet@tessera.example/disable")) == (404, "not-found")

    [*_, told_of] = [entry for entry in trail(admin, "operations/audit") if entry["who"] == admin.id]
    assert told_of["target"] == "malformed"


def test_an_order_called_off_by_its_organiser_is_told_and_by_its_buyer_is_not(api: Api, house: Organiser) -> None:
    event, buyer = house.event(), api.person()
    own, theirs = (buyer.order(event).json()["order_id"] for _ in range(2))
    before = len(house_trail(house))

    buyer.post(f"orders/{own}/cancel")
    house.operator.post(f"orders/{theirs}/cancel")

    added = house_trail(house)[before:]
    assert [(entry["what"], entry["target"], entry["who"]) for entry in added] == [
        ("sales_cancel_order", theirs, house.operator.id)
    ]
