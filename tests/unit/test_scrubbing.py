"""What must not leave does not, wherever it stands; ids and numbers stay."""

import pytest

from functions.admission.codes import Codes
from functions.identity.invitations import Invitation, InvitationCodes
from shared.auth.permissions import Membership
from shared.auth.service_tokens import ServiceKeyId, make_token
from shared.kernel.ids import OrganiserId
from shared.telemetry.scrubbing import DEPTH_MAX, REMOVED, TEXT_CHARACTERS_MAX, scrubbed, scrubbed_text
from tests.factories import catalog, sales
from tests.factories.settings import TICKET_KEY

KEY_ID = ServiceKeyId("tsk_" + "k" * 26)  # the same in each process of a run: tests are named by it
ORGANISER = OrganiserId("org_" + "o" * 26)
TICKET_CODE = Codes(TICKET_KEY).sign(sales.order().tickets(catalog.NOW)[0])


def invitation_code() -> str:
    address, when, codes = "ned@tessera.example", catalog.NOW, InvitationCodes(b"a secret")
    invited = Invitation(
        invitation_id=codes.id_of(ORGANISER, address), organiser_id=ORGANISER, email=address, by="per_x",
        role=Membership.OPERATOR, mailed_at=when, expires_at=when, changed_at=when, nonce="n" * 26,
    )  # fmt: skip
    return codes.code(invited)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("could not send to uma.user+x@tessera.example today", f"could not send to {REMOVED} today"),
        ("<uma@tessera.example>", f"<{REMOVED}>"),
        ("card 4242 4242 4242 4242 was declined", f"card {REMOVED} was declined"),
        ("card 4242-4242-4242-4242", f"card {REMOVED}"),
        ("card 4242.4242.4242.4242", f"card {REMOVED}"),
        ("378282246310005", REMOVED),
        ("to uma%40tessera.example", f"to {REMOVED}"),
        ("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1bWEifQ.c2lnbmF0dXJl", REMOVED),
        ("key sk_test_51Habcdef and whsec_abc123", f"key {REMOVED} and {REMOVED}"),
        # Named, since what is made up differs in each process of the suite.
        pytest.param(f"the key {make_token(KEY_ID)} leaked", f"the key {REMOVED} leaked", id="service key"),
        pytest.param(f"{KEY_ID} by {make_token(KEY_ID)[:-1]}", f"{KEY_ID} by {REMOVED}", id="cut service key"),
        pytest.param(f"/i#{invitation_code()}", f"/i#{ORGANISER}.{REMOVED}", id="invitation"),
        pytest.param(f"code {TICKET_CODE} at the door", f"code {REMOVED} at the door", id="ticket"),
        ("Authorization: Bearer abc.def-ghi", f"Authorization: {REMOVED}"),
        ("GET /api/orders?buyer=uma&x=1 HTTP", f"GET /api/orders{REMOVED} HTTP"),
    ],
)
def test_what_speaks_of_a_person_or_is_a_secret_is_cut_out(text: str, left: str) -> None:
    assert scrubbed_text(text) == left


@pytest.mark.parametrize(
    "text",
    [
        "ord_omwypc4sbsyydbuzmxanizogga.paid",
        "POST /api/orders/{order_id}/checkout",
        "cor_abcdefghijklmnop",
        "1234567890123456",  # sixteen digits that are no card's: its last one is wrong
        "0af7651916cd43dd8448eb211c80319c",
        "2026-11-21T16:36:57.145842Z",
        "0.00:00:00.009",
    ],
)
def test_ids_moments_and_routes_stay(text: str) -> None:
    assert scrubbed_text(text) == text


def test_fields_named_after_a_person_or_a_secret_are_emptied_at_any_depth() -> None:
    told = {"order_id": "ord_x", "quantity": 2, "deep": [{"Email": "uma", "holder": "Uma User", "token": "t"}]}
    assert scrubbed(told) == {
        "order_id": "ord_x",
        "quantity": 2,
        "deep": [{"Email": REMOVED, "holder": REMOVED, "token": REMOVED}],
    }


@pytest.mark.parametrize(
    "name",
    [
        "buyer_name", "holder_name", "first_name", "lastName", "recipient", "buyerEmail", "phone_number", "EMail",
        "shippingAddress", "client_ip", "clientIP", "card.number", "access-token", "API_KEY", "url", "code", "text",
    ],
)  # fmt: skip
def test_a_field_speaks_of_a_person_or_a_secret_by_any_of_its_words(name: str) -> None:
    assert scrubbed({name: "Uma"}) == {name: REMOVED}


@pytest.mark.parametrize(
    "name",
    [
        "order_id", "person_id", "message_id", "correlation_id", "responseCode", "http.status_code", "name", "function",
        "use_case", "organiser_id", "amount_minor", "currency", "discard", "description", "mailing", "trips", "outcome",
    ],
)  # fmt: skip
def test_a_field_of_another_name_stays(name: str) -> None:
    assert scrubbed({name: "x"}) == {name: "x"}


@pytest.mark.parametrize("long", ["a" * 50_000, "a" * 50_000 + "@", "%40" * 20_000, "eyJ" * 20_000])
def test_a_long_text_is_cut_before_it_is_looked_through(long: str) -> None:
    assert scrubbed_text(long) == "…"
    assert len(scrubbed_text("some words " * 5_000)) <= TEXT_CHARACTERS_MAX + 1


@pytest.mark.parametrize("end", ["uma@tessera.example", "4242 4242 4242 4242", "4242.4242.4242.4242"])
def test_nothing_is_left_of_what_the_cut_divides(end: str) -> None:
    for before in range(TEXT_CHARACTERS_MAX - len(end), TEXT_CHARACTERS_MAX):
        text = scrubbed_text(f"{'x ' * (before // 2)}{'x' * (before % 2)} {end} and more " + "y " * 600)
        assert not any(part in text for part in ("uma", "4242", "tessera"))


def test_what_is_nested_without_end_is_cut_off() -> None:
    told: list[object] = ["uma"]
    for _ in range(DEPTH_MAX + 5):
        told = [told]
    assert "uma" not in repr(scrubbed(told))
