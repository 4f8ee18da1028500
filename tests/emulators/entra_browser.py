"""A browser without scripts for the sign-in double's pages, and what its tests share."""

import hashlib
import json
import re
import ssl
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx

from tests.emulators.processes import Emulator

CLIENT = "tessera-web"
REDIRECT_URI = "http://127.0.0.1:7071/signed-in"
OTHER_CLIENT = "another-site"
OTHER_REDIRECT_URI = "http://127.0.0.1:9999/back"
VERIFIER = "a-verifier-that-is-long-enough-to-be-one-0123456789"
SCOPE = "openid profile email offline_access api://tessera/tickets.use"
PASSWORD = "correct horse battery"
MAIL_SECONDS = 60  # normally well below one


def challenge_of(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Form:
    """A form of a page: where it goes, and what it holds."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append(Form(given.get("action") or ""))
        elif tag == "input" and given.get("name"):
            self.found[-1].fields[given["name"] or ""] = given.get("value") or ""


def forms_of(page: httpx.Response) -> list[Form]:
    parser = _Forms()
    parser.feed(page.text)
    return parser.found


@dataclass
class Issuer:
    """A running double with its mailbox, seen from outside."""

    entra: Emulator
    data: Path
    mailbox: Emulator

    @property
    def root(self) -> str:
        return self.entra.last_word.removesuffix("/v2.0")

    @property
    def tls_root(self) -> str:
        secure = next(word for word in self.entra.words if word.startswith("https://"))
        return f"{secure}/{self.root.rpartition('/')[2]}"

    @property
    def ca(self) -> str:
        return str(self.data / "ca.pem")

    def password_of(self, email: str) -> str:
        people = json.loads((self.data / "people.json").read_text())["people"]
        return str(next(person["password"] for person in people if person["email"] == email))

    def control(self, name: str, **wanted: Any) -> dict[str, Any]:
        """A control of the double."""
        answer = httpx.post(f"{self.entra.url}/_emulator/{name}", json=wanted).raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def mails_to(self, address: str) -> list[dict[str, Any]]:
        """The mails there are for an address, the newest first."""
        listed = httpx.get(f"{self.mailbox.url}/api/messages", params={"to": address}).json()["messages"]
        return [httpx.get(f"{self.mailbox.url}/api/messages/{each['id']}").json() for each in listed]

    def mail_to(self, address: str, subject: str, *, number: int = 1) -> dict[str, Any]:
        """The newest mail of a subject, once there are `number` of them; they are sent behind the answer."""
        until = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < until:
            found = [mail for mail in self.mails_to(address) if mail["subject"] == subject]
            if len(found) >= number:
                return found[0]
            time.sleep(0.02)
        raise AssertionError(f"{number} mails “{subject}” to {address} did not come: {self.mails_to(address)}")

    def link_in(self, mail: dict[str, Any]) -> str:
        """The address a mail leads to."""
        [link] = set(re.findall(r"https?://\S+", mail["text"]))
        return str(link)


class Visitor:
    """Somebody with a browser of their own: cookies kept, redirects looked at, forms filled in."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        tls: bool = False,
        address: str = "127.0.0.1",
        language: str = "en",
        timeout: float = 20,
    ) -> None:
        self.issuer = issuer
        self.root = issuer.tls_root if tls else issuer.root
        transport = httpx.HTTPTransport(
            local_address=address, verify=ssl.create_default_context(cafile=issuer.ca) if tls else False
        )
        self.http = httpx.Client(transport=transport, headers={"Accept-Language": language}, timeout=timeout)

    def __enter__(self) -> "Visitor":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, path: str, **params: str) -> httpx.Response:
        """A page; `path` is below the tenant, or a whole address."""
        url = path if path.startswith("http") else f"{self.root}/{path}"
        return self.http.get(url, params=params or None)

    def fill(
        self,
        page: httpx.Response,
        fields: Mapping[str, str] | None = None,
        *,
        number: int = 0,
        headers: Mapping[str, str] | None = None,
        **more: str,
    ) -> httpx.Response:
        """Send one of the page's forms, with these fields filled in."""
        wanted = forms_of(page)[number]
        return self.http.post(
            urljoin(str(page.url), wanted.action), data={**wanted.fields, **(fields or {}), **more}, headers=headers
        )

    def authorize(self, **changes: str | None) -> httpx.Response:
        """Ask to sign in to the application."""
        asked: dict[str, str | None] = {
            "client_id": CLIENT,
            "redirect_uri": REDIRECT_URI,
            "response_type": "code",
            "scope": SCOPE,
            "state": "the-state",
            "nonce": "the-nonce",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        wanted = {name: value for name, value in (asked | changes).items() if value is not None}
        return self.get("oauth2/v2.0/authorize", **wanted)

    def sign_in(self, email: str, password: str | None = None, **changes: str | None) -> httpx.Response:
        """Sign in on the page; a person of the start by their own password."""
        page = self.authorize(**changes)
        assert page.status_code == 200, page.text
        return self.fill(page, email=email, password=password or self.issuer.password_of(email))

    def code(self, email: str, password: str | None = None, **changes: str | None) -> str:
        """Sign in, and take the code out of the answer."""
        return code_in(self.sign_in(email, password, **changes))

    def exchange(self, code: str, **changes: str) -> httpx.Response:
        """Ask for the tokens of a code."""
        fields = {
            "grant_type": "authorization_code",
            "client_id": CLIENT,
            "redirect_uri": REDIRECT_URI,
            "code": code,
            "code_verifier": VERIFIER,
        }
        return self.http.post(f"{self.root}/oauth2/v2.0/token", data=fields | changes)

    def tokens(self, email: str, password: str | None = None) -> dict[str, Any]:
        """Sign in to the application, all the way."""
        answer = self.exchange(self.code(email, password))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refresh(self, token: str, **changes: str) -> httpx.Response:
        """Ask for the next tokens."""
        fields = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token}
        return self.http.post(f"{self.root}/oauth2/v2.0/token", data=fields | changes)

    def cookies(self) -> dict[str, str]:
        """The cookies by what they are for: visit, session."""
        return {cookie.name.rpartition("-")[2]: cookie.value or "" for cookie in self.http.cookies.jar}


def code_in(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    values = parse_qs(urlsplit(answer.headers["location"]).query)
    assert values["state"] == ["the-state"]
    return values["code"][0]


def new_address(name: str) -> str:
    """An address nobody has."""
    return f"{name}-{time.monotonic_ns()}@example.org"


def signed_up(visitor: Visitor, address: str, *, name: str = "Nora New", password: str = PASSWORD) -> httpx.Response:
    """A new account, all the way; the last answer."""
    issuer = visitor.issuer
    assert visitor.fill(visitor.get("sign-up"), email=address).status_code == 200
    page = visitor.get(issuer.link_in(issuer.mail_to(address, "Finish signing up")))
    return visitor.fill(page, name=name, password=password)
