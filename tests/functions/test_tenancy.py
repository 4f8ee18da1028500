"""Memberships that are given, changed and taken, and roles that change."""

import pytest

from tests.support.api import Api, Organiser, refusal


def test_me_tells_who_i_am_here(api: Api) -> None:
    me = api.person("creator", "operator", name="Clara Creator")

    answer = me.get("me")

    assert answer.json() == {
        "person_id": me.id,
        "name": "Clara Creator",
        "email": me.email,
        "locale": "",
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

    told = given.json()
    assert (given.status_code, told.pop("since")[:2]) == (200, "20")
    assert told == {"person_id": person.id, "organiser_id": house.id, "role": "creator", "by": house.owner.id}
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
