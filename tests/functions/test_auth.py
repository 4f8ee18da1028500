"""Tokens: what is not exactly right is refused, and keys come and go.

What the functions refuse themselves is seen past the gateway (`direct`), which refuses most of it before.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.auth.tokens import TokenRefused, TokenValidator
from shared.kernel.clock import utc_now
from tests.emulators.processes import Emulator
from tests.support.api import Api, problem, refusal

EMAIL = "p-auth@tessera.example"
AUDIENCE = "api://tessera"


def unauthenticated(answer: httpx.Response, reason: str | None = None) -> None:
    members = problem(answer)
    assert (members["status"], members["type"]) == (401, "urn:tessera:problem:token-refused")
    assert answer.headers["www-authenticate"] == "Bearer"
    if reason is not None:
        assert members["reason"] == reason


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"expires_in": -120}, "ExpiredSignatureError"),
        ({"overrides": {"nbf": 4_000_000_000}}, "ImmatureSignatureError"),
        ({"overrides": {"iss": "https://login.example/other/v2.0"}}, "issuer"),
        ({"overrides": {"iss": None}}, "issuer"),
        ({"overrides": {"aud": "api://other"}}, "InvalidAudienceError"),
        ({"overrides": {"aud": None}}, "MissingRequiredClaimError"),
        ({"overrides": {"sub": None}}, "MissingRequiredClaimError"),
        ({"overrides": {"exp": None}}, "MissingRequiredClaimError"),
        ({"overrides": {"scp": None}}, "scope"),
        ({"overrides": {"scp": "tickets.used"}}, "scope"),
        ({"overrides": {"scp": None, "nonce": "n-1"}}, "ID token"),
        ({"overrides": {"aud": "tessera-web", "scp": None, "nonce": "n-1"}}, "InvalidAudienceError"),
        ({"overrides": {"at_hash": "x"}}, "ID token"),
        ({"overrides": {"scp": None, "idtyp": "app"}, "roles": ["admin"]}, "application"),
        ({"signer": "none"}, "algorithm"),
        ({"signer": "confused"}, "algorithm"),
        ({"signer": "foreign"}, "InvalidSignatureError"),
    ],
    ids=str,
)
def test_a_token_that_is_wrong_in_one_point_is_refused(direct: Api, wanted: dict[str, Any], reason: str) -> None:
    refused = direct.bearer(direct.token(email=EMAIL, **wanted)).get("me")

    unauthenticated(refused, reason)


def test_a_token_within_the_leeway_of_clocks_is_taken(api: Api) -> None:
    assert api.bearer(api.token(email=EMAIL, expires_in=-20)).get("me").status_code == 200


def test_a_token_signed_by_an_unpublished_key_of_its_own_name_is_refused(direct: Api) -> None:
    claims = jwt.decode(direct.token(email=EMAIL), options={"verify_signature": False})
    own = rsa.generate_private_key(public_exponent=65_537, key_size=2048)

    unauthenticated(direct.bearer(jwt.encode(claims, own, "RS256", {"kid": "mine"})).get("me"), "key")
    unauthenticated(direct.bearer(jwt.encode(claims, own, "RS256")).get("me"), "key")


def test_another_tenants_signature_and_a_key_the_token_brings_along_are_refused(api: Api, direct: Api) -> None:
    token = api.token(email=EMAIL)
    claims = jwt.decode(token, options={"verify_signature": False})
    own = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    kid = jwt.get_unverified_header(token)["kid"]
    other = {**claims, "iss": str(claims["iss"]).replace(str(claims["tid"]), "7e55e2a0-0000-4000-8000-000000000002")}

    unauthenticated(direct.bearer(jwt.encode(claims, own, "RS256", {"kid": kid})).get("me"), "InvalidSignatureError")
    unauthenticated(direct.bearer(jwt.encode(other, own, "RS256", {"kid": kid})).get("me"), "issuer")
    for header in ({"jku": f"{api.stack.entra_url}/keys"}, {"x5u": "https://evil.example/c"}, {"jwk": {"kty": "RSA"}}):
        unauthenticated(direct.bearer(jwt.encode(claims, own, "RS256", {"kid": kid, **header})).get("me"), "header")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("Bearer", "scheme"),
        ("Basic dW1hOnNlY3JldA==", "scheme"),
        ("Bearer nonsense", "not a JSON Web Token"),
        ("Bearer a.b.c", "not a JSON Web Token"),
        ("Bearer " + "x" * 9_000, "too long"),
        ("Bearer W1tb.W1tb.", "not a JSON Web Token"),
    ],
)
def test_what_is_no_token_is_refused(direct: Api, header: str | None, reason: str) -> None:
    headers = {} if header is None else {"authorization": header}

    unauthenticated(direct.nobody.ask("GET", "me", headers=headers), reason)


def test_a_changed_payload_is_refused(direct: Api) -> None:
    header, _, signature = direct.token(email=EMAIL).split(".")
    payload = direct.token(email=EMAIL, roles=["admin"]).split(".")[1]

    unauthenticated(direct.bearer(f"{header}.{payload}.{signature}").get("me"), "InvalidSignatureError")


def test_roles_we_do_not_know_give_nothing(api: Api) -> None:
    person = api.person("root", "superuser")

    assert person.get("me").json()["roles"] == ["user"]
    assert refusal(person.post("organisers", {"name": "A"})) == (403, "permission-missing")


def test_the_insights_key_opens_insights_and_nothing_else(api: Api) -> None:
    path, organiser_id = "insights/events", "org_" + "a" * 26

    assert api.insights.get(path, organiser_id=organiser_id).json() == {"items": []}
    for wrong in (api.person("admin"), api.bearer("wrong"), api.bearer(api.insights.token[:-1]), api.nobody):
        unauthenticated(wrong.get(path, organiser_id=organiser_id))
    for method, other in (("GET", "me"), ("GET", "events"), ("POST", "operations/inventory-audit"), ("POST", "orders")):
        unauthenticated(api.insights.ask(method, other, json={} if method == "POST" else None))


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Emulator]:
    with Emulator("entra", tmp_path, "--audience", AUDIENCE, "--redirect-uri", "http://127.0.0.1/") as running:
        yield running


def minted(issuer: Emulator, email: str) -> str:
    answer = httpx.post(f"{issuer.url}/_emulator/tokens", json={"email": email})
    token: str = answer.json()["access_token"]
    return token


def rotate(issuer: Emulator) -> None:
    assert httpx.post(f"{issuer.url}/_emulator/rotate-keys").status_code == 200


async def test_a_new_key_is_fetched_and_while_the_issuer_is_down_known_keys_still_work(issuer: Emulator) -> None:
    validator, now = TokenValidator([issuer.last_word], AUDIENCE), utc_now()
    old = await validator.caller(minted(issuer, "a@tessera.example"), now)
    rotate(issuer)
    token, later_token = minted(issuer, "b@tessera.example"), minted(issuer, "c@tessera.example")

    with pytest.raises(TokenRefused):  # asked again at most every 30 seconds
        await validator.caller(token, now + timedelta(seconds=10))
    rotated = await validator.caller(token, now + timedelta(seconds=31))

    assert (old.email, rotated.email) == ("a@tessera.example", "b@tessera.example")
    rotate(issuer)
    unknown_token = minted(issuer, "d@tessera.example")
    issuer.kill()
    assert (await validator.caller(later_token, now + timedelta(minutes=5))).email == "c@tessera.example"
    with pytest.raises(TokenRefused):
        await validator.caller(unknown_token, now + timedelta(minutes=6))
    issuer.restart()
    recovered = await validator.caller(unknown_token, now + timedelta(minutes=7))
    assert recovered.email == "d@tessera.example"
