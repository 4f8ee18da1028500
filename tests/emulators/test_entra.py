"""The identity provider: sign-in as a client does it, and everything a client must be refused."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from local.emulators.entra.people import PEOPLE, subject_of
from local.oidc_client import SignInRefused, sign_in
from tests.emulators.entra_browser import CLIENT, REDIRECT_URI, VERIFIER, challenge_of, forms_of
from tests.emulators.processes import Emulator


def password_of(data: Path, email: str) -> str:
    people = json.loads((data / "people.json").read_text())["people"]
    return str(next(person["password"] for person in people if person["email"] == email))


def modes_in(directory: Path) -> dict[str, str]:
    return {path.name: stat.filemode(path.stat().st_mode) for path in directory.iterdir()}


async def verified(web: httpx.AsyncClient, entra: Emulator, token: str, **options: Any) -> dict[str, Any]:
    """The token's claims, checked as an API checks them."""
    authority = entra.last_word
    metadata = (await web.get(f"{authority}/.well-known/openid-configuration")).json()
    keys = jwt.PyJWKSet.from_dict((await web.get(metadata["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["RS256"], audience="api://tessera", issuer=authority, **options
    )
    return claims


def authorize(entra: Emulator, **changes: str | None) -> httpx.URL:
    asked = {
        "client_id": CLIENT,
        "redirect_uri": REDIRECT_URI,
        "response_type": "code",
        "scope": "openid",
        "state": "the-state",
        "nonce": "the-nonce",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    } | changes
    root = entra.last_word.removesuffix("/v2.0")
    return httpx.URL(f"{root}/oauth2/v2.0/authorize", params={k: v for k, v in asked.items() if v is not None})


async def a_code(web: httpx.AsyncClient, entra: Emulator, password: str) -> str:
    [form] = forms_of(await web.get(authorize(entra)))
    filled = form.fields | {"email": "uma@tessera.example", "password": password}
    answer = await web.post(f"{entra.url}{form.action}", data=filled)
    assert answer.status_code == 303
    values = parse_qs(urlsplit(answer.headers["location"]).query)
    assert values["state"] == ["the-state"]
    return values["code"][0]


async def exchange(web: httpx.AsyncClient, entra: Emulator, code: str, **changes: str) -> httpx.Response:
    fields = {
        "grant_type": "authorization_code",
        "client_id": CLIENT,
        "redirect_uri": REDIRECT_URI,
        "code": code,
        "code_verifier": VERIFIER,
    } | changes
    return await web.post(f"{entra.last_word.removesuffix('/v2.0')}/oauth2/v2.0/token", data=fields)


@pytest.mark.parametrize("email", ["ada@tessera.example", "other-clara@tessera.example"])
async def test_a_person_signs_in_and_gets_a_token_the_api_accepts(
    entra: Emulator, entra_data: Path, web: httpx.AsyncClient, email: str
) -> None:
    tokens = await sign_in(entra.last_word, CLIENT, REDIRECT_URI, email, password_of(entra_data, email))

    claims = await verified(web, entra, tokens.access_token)
    person = next(person for person in PEOPLE if person.email == email)
    told = {name: claims[name] for name in ("sub", "email", "name", "roles", "scp", "ver", "azp", "preferred_username")}
    assert told == {
        "sub": subject_of(email),
        "email": email,
        "name": person.name,
        "roles": [person.role],
        "scp": "tickets.use",
        "ver": "2.0",
        "azp": CLIENT,
        "preferred_username": email,
    }
    assert claims["exp"] - claims["iat"] == 3600
    assert tokens.claims["sub"] == subject_of(email)


async def test_a_wrong_password_and_an_unknown_address_look_the_same(entra: Emulator, web: httpx.AsyncClient) -> None:
    pages = []
    for email in ("una@tessera.example", "nobody@tessera.example"):
        [form] = forms_of(await web.get(authorize(entra)))
        answer = await web.post(f"{entra.url}{form.action}", data=form.fields | {"email": email, "password": "wrong"})
        pages.append((answer.status_code, answer.text.replace(form.fields["request"], "").replace(email, "")))

    # The hint box lists una on both pages, so removing both addresses everywhere keeps the comparison fair.
    clean = [(status, text.replace("una@tessera.example", "")) for status, text in pages]
    assert clean[0] == clean[1]
    assert clean[0][0] == 401


async def test_guessing_is_throttled_per_address_even_for_the_right_password(
    entra: Emulator, entra_data: Path, web: httpx.AsyncClient
) -> None:
    email = "oscar@tessera.example"
    guesses = [sign_in(entra.last_word, CLIENT, REDIRECT_URI, email, "wrong") for _ in range(5)]
    results = await asyncio.gather(*guesses, return_exceptions=True)
    assert all(isinstance(result, SignInRefused) for result in results)

    with pytest.raises(SignInRefused, match="429"):
        await sign_in(entra.last_word, CLIENT, REDIRECT_URI, email, password_of(entra_data, email))
    other = "ugo@tessera.example"
    assert (await sign_in(entra.last_word, CLIENT, REDIRECT_URI, other, password_of(entra_data, other))).access_token


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
    ],
)
async def test_a_request_without_proper_pkce_is_sent_back_refused(
    entra: Emulator, web: httpx.AsyncClient, changes: dict[str, str | None], error: str
) -> None:
    answer = await web.get(authorize(entra, **changes))

    assert answer.status_code == 303
    values = parse_qs(urlsplit(answer.headers["location"]).query)
    assert (values["error"], values["state"]) == ([error], ["the-state"])


@pytest.mark.parametrize(
    "changes",
    [{"redirect_uri": REDIRECT_URI + "/"}, {"redirect_uri": "https://evil.example/"}, {"client_id": "another"}],
)
async def test_nobody_is_ever_sent_to_an_address_that_is_not_registered(
    entra: Emulator, web: httpx.AsyncClient, changes: dict[str, str | None]
) -> None:
    answer = await web.get(authorize(entra, **changes))

    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "changes",
    [
        {"code_verifier": VERIFIER + "x"},
        {"code_verifier": ""},
        {"redirect_uri": REDIRECT_URI + "/"},
        {"code": "made-up"},
    ],
)
async def test_a_code_is_worthless_without_the_verifier_and_address_it_was_asked_with(
    entra: Emulator, entra_data: Path, web: httpx.AsyncClient, changes: dict[str, str]
) -> None:
    code = await a_code(web, entra, password_of(entra_data, "uma@tessera.example"))

    answer = await exchange(web, entra, **{"code": code} | changes)

    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


async def test_a_code_is_spent_once_even_when_used_twice_at_once(
    entra: Emulator, entra_data: Path, web: httpx.AsyncClient
) -> None:
    code = await a_code(web, entra, password_of(entra_data, "uma@tessera.example"))

    answers = await asyncio.gather(*(exchange(web, entra, code) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


@pytest.mark.parametrize(
    ("wrong", "refusal"),
    [
        ({"overrides": {"aud": "api://other"}}, jwt.InvalidAudienceError),
        ({"overrides": {"iss": "https://evil.example"}}, jwt.InvalidIssuerError),
        ({"expires_in": -10}, jwt.ExpiredSignatureError),
        ({"overrides": {"nbf": 4_102_444_800}}, jwt.ImmatureSignatureError),
        ({"signer": "foreign"}, jwt.InvalidSignatureError),
        ({"signer": "none"}, jwt.InvalidAlgorithmError),
        ({"signer": "confused"}, jwt.InvalidAlgorithmError),
    ],
)
async def test_wrong_tokens_can_be_had_and_are_wrong_in_just_that_way(
    entra: Emulator, web: httpx.AsyncClient, wrong: dict[str, Any], refusal: type[Exception]
) -> None:
    answer = await web.post(f"{entra.url}/_emulator/tokens", json={"email": "uma@tessera.example"} | wrong)

    with pytest.raises(refusal):
        await verified(web, entra, answer.json()["access_token"])


async def test_tokens_for_many_made_up_people_come_at_once(entra: Emulator, web: httpx.AsyncClient) -> None:
    answer = await web.post(f"{entra.url}/_emulator/tokens", json={"count": 100, "roles": ["user"], "prefix": "buyer"})

    tokens = answer.json()["tokens"]
    assert len({token["subject"] for token in tokens}) == 100
    claims = await verified(web, entra, tokens[99]["access_token"])
    assert (claims["sub"], claims["roles"]) == (subject_of("buyer-99@tessera.example"), ["user"])
    seeded = await web.post(f"{entra.url}/_emulator/tokens", json={"email": "ada@tessera.example"})
    assert (await verified(web, entra, seeded.json()["access_token"]))["roles"] == ["admin"]


async def test_a_rotated_key_stays_published_unless_it_was_compromised(entra: Emulator, web: httpx.AsyncClient) -> None:
    before = (await web.post(f"{entra.url}/_emulator/tokens", json={"subject": "somebody"})).json()["access_token"]

    await web.post(f"{entra.url}/_emulator/rotate-keys")
    after = (await web.post(f"{entra.url}/_emulator/tokens", json={"subject": "somebody"})).json()["access_token"]
    assert jwt.get_unverified_header(before)["kid"] != jwt.get_unverified_header(after)["kid"]
    assert (await verified(web, entra, before))["sub"] == (await verified(web, entra, after))["sub"] == "somebody"

    await web.post(f"{entra.url}/_emulator/rotate-keys", json={"compromised": True})
    for token in (before, after):
        with pytest.raises(KeyError):
            await verified(web, entra, token)


async def test_keys_and_passwords_outlive_a_crash_and_are_private(tmp_path: Path, web: httpx.AsyncClient) -> None:
    with Emulator("entra", tmp_path, "--redirect-uri", REDIRECT_URI) as entra:
        token = (await web.post(f"{entra.url}/_emulator/tokens", json={"subject": "x"})).json()["access_token"]
        people = (tmp_path / "people.json").read_text()
        entra.kill()
        entra.restart()

        assert (await verified(web, entra, token))["sub"] == "x"
        assert (tmp_path / "people.json").read_text() == people
        email = "clara@tessera.example"
        tokens = await sign_in(entra.last_word, CLIENT, REDIRECT_URI, email, password_of(tmp_path, email))
        assert tokens.claims["email"] == email
    assert modes_in(tmp_path) == {"entra.sqlite": "-rw-------", "people.json": "-rw-------"}
    assert password_of(tmp_path, email).encode() not in (tmp_path / "entra.sqlite").read_bytes()


async def test_pages_of_this_machine_may_ask_and_others_may_not(entra: Emulator, web: httpx.AsyncClient) -> None:
    discovery = f"{entra.last_word}/.well-known/openid-configuration"
    token = f"{entra.last_word.removesuffix('/v2.0')}/oauth2/v2.0/token"

    near = await web.get(discovery, headers={"Origin": "http://localhost:5173"})
    far = await web.get(discovery, headers={"Origin": "https://evil.example"})
    preflight = await web.options(
        token, headers={"Origin": "http://127.0.0.1:5173", "Access-Control-Request-Method": "POST"}
    )

    assert near.headers["access-control-allow-origin"] == "http://localhost:5173"
    assert "access-control-allow-origin" not in far.headers
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (200, "http://127.0.0.1:5173")
