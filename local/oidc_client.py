"""Signing in as a browser would: authorization code with PKCE, the provider's form filled in, the tokens checked."""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import httpx
import jwt

_SCOPE = "openid profile email api://tessera/tickets.use"
_TIMEOUT_SECONDS = 10


class SignInRefused(Exception):
    """The provider did not let the person in, or answered what a client must not accept."""


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gives: the token for the API, and the claims about who signed in."""

    access_token: str
    id_token: str
    expires_in_seconds: int
    claims: dict[str, Any]


async def sign_in(authority: str, client_id: str, redirect_uri: str, email: str, password: str) -> Tokens:
    """Sign `email` in at `authority` (the issuer) as the public client `client_id`.

    :raises SignInRefused: wrong address or password, or an answer that does not belong to this request
    """
    verifier, state, nonce = (secrets.token_urlsafe(32) for _ in range(3))
    asked = {
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "response_type": "code",
        "scope": _SCOPE,
        "state": state,
        "nonce": nonce,
        "code_challenge": urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as browser:
        found = await browser.get(f"{authority}/.well-known/openid-configuration")
        metadata = found.raise_for_status().json()
        if metadata["issuer"] != authority:
            raise SignInRefused(f"the metadata of {authority} speaks for {metadata['issuer']}")
        page = await browser.get(f"{metadata['authorization_endpoint']}?{urlencode(asked)}")
        form = _form_of(page)
        sent = await browser.post(
            urljoin(str(page.url), form.action), data=form.hidden | {"email": email, "password": password}
        )
        code = _code_from(sent, redirect_uri, state)
        exchange = {"grant_type": "authorization_code", "client_id": client_id, "redirect_uri": redirect_uri}
        proof = {"code": code, "code_verifier": verifier}
        answer = await browser.post(metadata["token_endpoint"], data=exchange | proof)
        if answer.status_code != httpx.codes.OK:
            raise SignInRefused(f"the code was not exchanged: {answer.text}")
        published = (await browser.get(metadata["jwks_uri"])).raise_for_status().json()
    tokens = answer.json()
    claims = _verified(tokens["id_token"], published, issuer=authority, client_id=client_id, nonce=nonce)
    return Tokens(tokens["access_token"], tokens["id_token"], tokens["expires_in"], claims)


class _Form(HTMLParser):
    """The first form of a page: where it goes and what it carries unseen."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form" and not self.action:
            self.action = given.get("action") or ""
        elif tag == "input" and given.get("type") == "hidden":
            self.hidden[given.get("name") or ""] = given.get("value") or ""


def _form_of(page: httpx.Response) -> _Form:
    if page.status_code != httpx.codes.OK:
        raise SignInRefused(f"no sign-in page: {page.status_code} {page.headers.get('location', '')}")
    form = _Form()
    form.feed(page.text)
    if not form.action:
        raise SignInRefused("the sign-in page has no form")
    return form


def _code_from(answer: httpx.Response, redirect_uri: str, state: str) -> str:
    target: str | None = answer.headers.get("location")
    if target is None:
        raise SignInRefused(f"the address or the password was refused ({answer.status_code})")
    if not target.startswith(redirect_uri):
        raise SignInRefused("the provider sent us somewhere else")
    values = parse_qs(urlsplit(target).query)
    if values.get("state") != [state] or "code" not in values:
        raise SignInRefused("the answer does not belong to this sign-in")
    return values["code"][0]


def _verified(token: str, published: dict[str, Any], *, issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    try:
        key = jwt.PyJWKSet.from_dict(published)[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=client_id, issuer=issuer)
    except (jwt.PyJWTError, KeyError) as error:
        raise SignInRefused(f"the id token is not acceptable: {error}") from error
    if claims.get("nonce") != nonce:
        raise SignInRefused("the id token was made for another sign-in")
    return claims
