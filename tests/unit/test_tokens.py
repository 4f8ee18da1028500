"""Tokens: kinds that are no access token of a person, and headers that would choose their own key."""

from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from shared.auth.permissions import Caller, Role
from shared.auth.tokens import TOKEN_CHARACTERS_MAX, TokenRefused, TokenValidator
from shared.kernel.clock import utc_now
from shared.kernel.ids import person_id_of
from tests.doubles.authority import AUDIENCE, Tenant, Tenants, jwk, key, tenants


@dataclass
class Door:
    """A validator and the authority it trusts."""

    host: Tenants
    tenant: Tenant
    validator: TokenValidator

    async def caller(self, token: str) -> Caller:
        return await self.validator.caller(token, utc_now())

    async def reason(self, token: str) -> str:
        with pytest.raises(TokenRefused) as refused:
            await self.caller(token)
        return str(refused.value.facts["reason"])


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with tenants() as host:
        tenant = host.tenant("t", "k")
        yield Door(host, tenant, TokenValidator([tenant.url], AUDIENCE))


async def test_a_person_is_their_oid_in_every_application_and_their_sub_where_there_is_none(door: Door) -> None:
    tenant = door.tenant
    same = [await door.caller(tenant.token("k", sub=sub)) for sub in ("sub-1", "sub-2")]
    other = await door.caller(tenant.token("k", oid="oid-2"))
    bare = [await door.caller(tenant.token("k", oid=oid, sub="sub-1")) for oid in (None, "", 7)]

    assert {caller.person_id for caller in same} == {person_id_of(tenant.url, "oid-1")}
    assert other.person_id == person_id_of(tenant.url, "oid-2")
    assert {caller.person_id for caller in bare} == {person_id_of(tenant.url, "sub-1")}


async def test_what_a_token_tells_of_its_bearer(door: Door) -> None:
    b2c = await door.caller(door.tenant.token("k", email=None, emails=["b@example.org"], roles="admin", nonce="n"))

    assert (b2c.name, b2c.email, b2c.roles) == ("Uma", "b@example.org", frozenset({Role.USER}))
    for odd in (7, {"admin": True}, None):
        assert (await door.caller(door.tenant.token("k", roles=odd))).roles == frozenset({Role.USER})


async def test_only_the_first_authority_names_accounts_of_ours_and_appoints_admins(door: Door) -> None:
    first, other = door.tenant, door.host.tenant("other", "o")
    both = TokenValidator([first.url, other.url], AUDIENCE)

    ours = await both.caller(first.token("k", roles=["admin"]), utc_now())
    theirs = await both.caller(other.token("o", roles=["admin"]), utc_now())
    theirs_alone = await TokenValidator([first.url, other.url], AUDIENCE).caller(
        other.token("o", roles=["admin"]), utc_now()
    )  # the first authority has said nothing yet

    assert (ours.user_id, ours.roles) == ("oid-1", frozenset({Role.ADMIN}))
    assert theirs == theirs_alone
    assert (theirs.user_id, theirs.roles) == ("", frozenset({Role.USER}))
    assert theirs.person_id == person_id_of(other.url, "oid-1") != ours.person_id


async def test_without_an_oid_a_sub_that_is_a_uuid_is_the_account_of_the_first_authority(door: Door) -> None:
    uuid = "0b5c9f5e-0000-4000-8000-0123456789ab"
    other = door.host.tenant("other", "o")
    both = TokenValidator([door.tenant.url, other.url], AUDIENCE)

    b2c = await both.caller(door.tenant.token("k", oid=None, sub=uuid), utc_now())
    pairwise = await both.caller(door.tenant.token("k", oid=None, sub="0b5c9f5e-pairwise"), utc_now())
    theirs = await both.caller(other.token("o", oid=None, sub=uuid), utc_now())

    assert (b2c.user_id, b2c.person_id) == (uuid, person_id_of(door.tenant.url, uuid))
    assert (pairwise.user_id, theirs.user_id) == ("", "")


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"scp": None, "nonce": "n"}, "ID token"),
        ({"at_hash": "x"}, "ID token"),
        ({"c_hash": "x"}, "ID token"),
        ({"token_use": "id"}, "ID token"),
        ({"scp": None, "idtyp": "app", "roles": ["admin"]}, "application"),
        ({"idtyp": "app"}, "application"),
        ({"scp": None, "roles": ["admin"]}, "scope"),
        ({"scp": ["tickets.used"]}, "scope"),
        ({"aud": "the-web-client", "nonce": "n", "scp": None}, "InvalidAudienceError"),
    ],
    ids=str,
)
async def test_other_kinds_of_tokens_are_refused(door: Door, claims: dict[str, Any], reason: str) -> None:
    assert await door.reason(door.tenant.token("k", **claims)) == reason


async def test_a_key_that_a_token_brings_along_is_not_used_nor_looked_for(door: Door) -> None:
    await door.caller(door.tenant.token("k"))
    asked, elsewhere = door.tenant.asked, f"{door.host.address}/evil/keys"
    own = jwk("evil", kid="k")

    for header in ({"jku": elsewhere}, {"x5u": elsewhere}, {"jwk": own}, {"x5c": ["MIIB"]}):
        assert await door.reason(door.tenant.token("evil", header={"kid": "k", **header})) == "header"
        assert await door.reason(door.tenant.token("k", header=header)) == "header"  # even rightly signed
    assert (door.tenant.asked, door.host.strays) == (asked, 0)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"crit": ["exp"], "exp": 1}, "not a JSON Web Token"),
        ({"crit": []}, "not a JSON Web Token"),
        ({"crit": ["\ud800"], "\ud800": 1}, "not a JSON Web Token"),
        ({"typ": "logout+jwt"}, "type"),
        ({"typ": "dpop+jwt"}, "type"),
        ({"kid": None}, "key"),
        ({"kid": "../../k"}, "key"),
    ],
    ids=str,
)
async def test_headers_we_do_not_accept(door: Door, header: dict[str, Any], reason: str) -> None:
    assert await door.reason(door.tenant.token("k", header=header)) == reason


@pytest.mark.parametrize("typ", ["JWT", "at+jwt", "AT+JWT", "application/at+jwt", None])
async def test_types_of_access_tokens_are_taken(door: Door, typ: str | None) -> None:
    claims = jwt.decode(door.tenant.token("k"), options={"verify_signature": False})

    assert (await door.caller(jwt.encode(claims, key("k"), "RS256", {"kid": "k", "typ": typ}))).name == "Uma"


async def test_a_header_or_payload_that_would_break_the_parser_is_refused(door: Door) -> None:
    deep = urlsafe_b64encode(b"[" * 3_000 + b"]" * 3_000).decode().rstrip("=")
    header, payload, signature = door.tenant.token("k").split(".")

    assert len(deep) < TOKEN_CHARACTERS_MAX
    for token in (f"{deep}.{payload}.{signature}", f"{header}.{deep}.{signature}"):
        assert await door.reason(token) in {"not a JSON Web Token", "too long"}


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"exp": 1}, "it has expired"),
        ({"aud": "\ud800"}, "it is for another audience"),
        ({"iat": "\ud800"}, "what it says"),
    ],
    ids=["expired", "audience", "not a time"],
)
async def test_a_refusal_repeats_nothing_that_the_token_says(door: Door, claims: dict[str, Any], told: str) -> None:
    with pytest.raises(TokenRefused, match=f"^The token is not valid: {told}"):
        await door.caller(door.tenant.token("k", **claims))
