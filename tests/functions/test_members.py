"""Working for an organiser: owners who stay, people who are invited by mail, and what nobody may do to them."""

import httpx
import pytest

from functions.identity.invitations import InvitationCodes
from tests.support.api import Api, Json, Organiser, Person, fields, problem, refusal, soon


def invite(house: Organiser, email: str, role: str = "operator") -> Json:
    answer = house.owner.post(f"organisers/{house.id}/invitations", {"email": email, "role": role})
    assert answer.status_code == 201, answer.text
    found: Json = answer.json()
    return found


def mails(api: Api, invitation: Json) -> list[Json]:
    found = httpx.get(f"{api.stack.mailbox_url}/api/messages", params={"to": invitation["email"]})
    messages: list[Json] = found.raise_for_status().json()["messages"]
    return messages


def mailed(api: Api, invitation: Json) -> Json:
    """The one mail, whole, as soon as it is there."""
    [summary] = soon(lambda: mails(api, invitation) or None, "the invitation's mail")
    found: Json = httpx.get(f"{api.stack.mailbox_url}/api/messages/{summary['id']}").json()
    return found


def code_in(mail: Json) -> str:
    """The code in the link that its reader follows."""
    [link] = {word for word in mail["text"].split() if "/invitations/shown?code=" in word}
    found: str = link.partition("code=")[2]
    return found


def colleagues(house: Organiser) -> list[Json]:
    found: list[Json] = house.owner.get(f"organisers/{house.id}/members", limit=100).json()["items"]
    return found


def members_of(house: Organiser) -> dict[str, str]:
    return {each["person_id"]: each["role"] for each in colleagues(house)}


def test_an_invitation_is_mailed_followed_and_makes_a_member_once(api: Api, house: Organiser) -> None:
    guest, other = api.person(), api.person()
    invitation = invite(house, "guest@tessera.example", "creator")
    mail = mailed(api, invitation)
    assert mail["to"] == ["guest@tessera.example"]
    code = code_in(mail)

    accepted = guest.post("invitations/accept", {"code": code})

    assert (accepted.status_code, accepted.json()) == (
        200,
        {"organiser_id": house.id, "organiser": "Riverside", "role": "creator"},
    )
    assert guest.get("me").json()["memberships"] == {house.id: "creator"}
    assert guest.get(f"organisers/{house.id}/venues").status_code == 200
    [listed] = [each for each in colleagues(house) if each["person_id"] == guest.id]
    assert (listed["name"], listed["email"]) == (guest.email.partition("@")[0], guest.email)
    [used] = house.owner.get(f"organisers/{house.id}/invitations").json()["items"]
    assert (used["state"], used["accepted_by"]) == ("accepted", guest.id)
    assert guest.post("invitations/accept", {"code": code}).json() == accepted.json()
    assert refusal(other.post("invitations/accept", {"code": code})) == (409, "invitation-over")
    assert other.get("me").json()["memberships"] == {}


def test_the_page_shows_who_invites_as_what_and_accepts_nothing(api: Api, house: Organiser) -> None:
    invitation = invite(house, "reader@tessera.example")
    code = code_in(mailed(api, invitation))

    page = api.nobody.get("invitations/shown", code=code)

    assert page.headers["content-type"].startswith("text/html")
    assert "Riverside invites you" in page.text
    assert code in page.text
    assert "reader@tessera.example" not in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert len(members_of(house)) == 3
    for wrong in ("", "nonsense", "<script>", code[:-1] + ("0" if code[-1] != "0" else "1")):
        shown = api.nobody.get("invitations/shown", code=wrong)
        assert shown.status_code == 200
        assert "not good any more" in shown.text
        assert "<script>" not in shown.text


def test_a_forged_code_opens_nothing(api: Api, house: Organiser) -> None:
    invitation = invite(house, "forged@tessera.example")
    code = code_in(mailed(api, invitation))
    ours, theirs = code.rpartition("."), InvitationCodes(b"a secret of somebody else")
    forged = [
        f"{ours[0]}.{theirs._mac(ours[0])}",
        f"{'.'.join(code.split('.')[:2])}.{'a' * 26}.{code.rpartition('.')[2]}",
        code.replace(house.id, api.organiser("Hillview").id),
        code.upper(),
        code + " ",
    ]

    for wrong in forged:
        assert refusal(api.person().post("invitations/accept", {"code": wrong})) == (409, "invitation-over")
    assert len(members_of(house)) == 3


def test_an_address_is_not_mailed_twice_within_minutes_whatever_for(api: Api, house: Organiser) -> None:
    first, path = invite(house, "again@tessera.example", "operator"), f"organisers/{house.id}/invitations"
    code = code_in(mailed(api, first))

    assert invite(house, "AGAIN@tessera.example", "operator") == first
    other = house.owner.post(path, {"email": "again@tessera.example", "role": "creator"})
    house.owner.delete(f"{path}/{first['invitation_id']}")
    after = house.owner.post(path, {"email": "again@tessera.example", "role": "operator"})

    for refused in (other, after):
        assert refusal(refused) == (409, "invited-just-now")
        assert 1 <= problem(refused)["retry_after_seconds"] <= 600
    assert len(mails(api, first)) == 1
    assert refusal(api.person().post("invitations/accept", {"code": code})) == (409, "invitation-over")


def test_a_withdrawn_invitation_is_good_for_nothing(api: Api, house: Organiser) -> None:
    invitation = invite(house, "withdrawn@tessera.example")
    code, path = code_in(mailed(api, invitation)), f"organisers/{house.id}/invitations/{invitation['invitation_id']}"

    assert [house.owner.delete(path).status_code for _ in range(2)] == [204, 204]

    assert refusal(api.person().post("invitations/accept", {"code": code})) == (409, "invitation-over")
    [listed] = house.owner.get(f"organisers/{house.id}/invitations").json()["items"]
    assert (listed["state"], listed["email"]) == ("withdrawn", "withdrawn@tessera.example")


def test_an_accepted_invitation_cannot_be_withdrawn(api: Api, house: Organiser) -> None:
    invitation, guest = invite(house, "kept@tessera.example"), api.person()
    guest.post("invitations/accept", {"code": code_in(mailed(api, invitation))})

    refused = house.owner.delete(f"organisers/{house.id}/invitations/{invitation['invitation_id']}")

    assert refusal(refused) == (409, "invitation-over")
    assert members_of(house)[guest.id] == "operator"


def test_who_is_a_member_already_keeps_what_they_are_and_the_invitation_stays_open(api: Api, house: Organiser) -> None:
    code = code_in(mailed(api, invite(house, "colleague@tessera.example", "operator")))

    refused = house.creator.post("invitations/accept", {"code": code})

    assert refusal(refused) == (409, "already-member")
    assert problem(refused)["role"] == "creator"
    assert members_of(house)[house.creator.id] == "creator"
    assert api.person().post("invitations/accept", {"code": code}).status_code == 200


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@c.de", "x" * 260 + "@c.de", "a@c.de\nBcc: d@e.fr", None])
def test_what_is_no_address_is_not_invited(house: Organiser, email: object) -> None:
    refused = house.owner.post(f"organisers/{house.id}/invitations", {"email": email, "role": "operator"})

    assert fields(refused) == ["email"]
    assert house.owner.get(f"organisers/{house.id}/invitations").json() == {"items": []}


def test_who_was_removed_does_not_come_back_by_the_code_they_used(api: Api, house: Organiser) -> None:
    guest, code = api.person(), code_in(mailed(api, invite(house, "returning@tessera.example")))
    guest.post("invitations/accept", {"code": code})
    house.owner.delete(f"organisers/{house.id}/members/{guest.id}")

    assert refusal(guest.post("invitations/accept", {"code": code})) == (409, "invitation-over")
    assert guest.id not in members_of(house)


def test_what_a_removed_owner_mailed_before_they_went_lets_nobody_in(api: Api, house: Organiser) -> None:
    path = f"organisers/{house.id}/members/{house.creator.id}"
    admin = api.person("admin")
    admin.put(path, {"role": "owner"})
    body = {"email": "own-second-address@tessera.example", "role": "owner"}
    mine = house.creator.post(f"organisers/{house.id}/invitations", body).json()
    code = code_in(mailed(api, mine))
    house.owner.put(path, {"role": "operator"})

    assert refusal(api.person().post("invitations/accept", {"code": code})) == (409, "invitation-over")
    admin.put(path, {"role": "owner"})
    assert api.person().post("invitations/accept", {"code": code}).status_code == 200


def test_the_last_owner_stays_until_there_is_another(api: Api, house: Organiser) -> None:
    me, path = house.owner.id, f"organisers/{house.id}/members"

    for refused in (
        house.owner.delete(f"{path}/{me}"),
        house.owner.put(f"{path}/{me}", {"role": "operator"}),
        house.owner.delete(f"me/memberships/{house.id}"),
        api.person("admin").delete(f"{path}/{me}"),
    ):
        assert refusal(refused) == (409, "last-owner")
    assert members_of(house)[me] == "owner"

    api.person("admin").put(f"{path}/{house.creator.id}", {"role": "owner"})
    assert house.owner.delete(f"me/memberships/{house.id}").status_code == 204
    assert refusal(house.owner.get(path)) == (403, "permission-missing")
    assert house.creator.get("me").json()["memberships"] == {house.id: "owner"}


def test_a_member_leaves_by_themselves(house: Organiser) -> None:
    left = house.operator.delete(f"me/memberships/{house.id}")

    assert left.status_code == 204
    assert house.operator.id not in members_of(house)
    assert refusal(house.operator.delete(f"me/memberships/{house.id}")) == (404, "not-found")


def test_an_id_that_nobody_ever_had_is_made_nothing(house: Organiser) -> None:
    refused = house.owner.put(f"organisers/{house.id}/members/per_{'a' * 26}", {"role": "operator"})

    assert refusal(refused) == (404, "not-found")
    assert len(members_of(house)) == 3


def platform(api: Api, person: Person, roles: list[str] | None) -> None:
    answer = api.person("admin").put(f"users/{person.id}/roles", {"roles": roles})
    assert answer.status_code == 200, answer.text


def test_a_role_on_the_platform_counts_at_once_whatever_the_token_says(api: Api, house: Organiser) -> None:
    person, order = api.person("user"), house.operator.paid(house.event())
    path = f"orders/{order['order_id']}"
    assert refusal(person.get(path)) == (404, "not-found")

    platform(api, person, ["operator"])

    assert person.get(path).json()["order_id"] == order["order_id"]
    assert refusal(person.post(f"{path}/cancel")) == (403, "permission-missing")
    assert person.get("me").json()["roles"] == ["operator"]
    platform(api, person, None)
    assert refusal(person.get(path)) == (404, "not-found")
