"""What a client may ask of the authorization endpoint (RFC 6749 section 4.1.1, RFC 7636, OIDC Core section 3.1.2.1)."""

import re

from starlette.datastructures import ImmutableMultiDict

from local.emulators.entra.config import Door
from local.emulators.entra.grants import Asked
from local.emulators.entra.tenant import Tenant

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url, RFC 7636 section 4.2
_MODES = {"query", "fragment", "form_post"}
_OPEN_SCOPES = {"openid", "profile", "email", "offline_access"}
_CHARACTERS_MAX = 2_000
PROMPTS = {"none", "login", "select_account", "create"}
# What is not served, and what it would be wrong to pass over (OIDC Core sections 3.1.2.6, 6 and 7.2.1). Sessions here
# last a day; who wants a younger one asks for it by prompt=login.
_LEFT_OUT = {
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
    "max_age": "invalid_request",
}

type Sent = ImmutableMultiDict[str, str]


class Untrusted(Exception):
    """A request from a client we cannot trust enough to send anybody back to it."""


class Refused(Exception):
    """An authorization request to be answered at its redirect address."""

    def __init__(self, error: str, description: str, asked: Asked) -> None:
        super().__init__(description)
        self.error = error
        self.asked = asked


def read_request(sent: Sent, tenant: Tenant, door: Door) -> Asked:
    """What is asked.

    :raises Untrusted: the client is not known, or the redirect address is not exactly one of its own
    :raises Refused: anything else is wrong with it
    """
    names = [name for name, _ in sent.multi_items()]
    client = tenant.applications.get(sent.get("client_id"))
    if len(names) != len(set(names)) or any(len(value) > _CHARACTERS_MAX for value in sent.values()):
        raise Untrusted("AADSTS90015: a parameter is repeated or too long.")
    if client is None or not client.redirect_uris:
        raise Untrusted("AADSTS700016: the application (client_id) is not known in this directory.")
    target = sent.get("redirect_uri", "")
    if target not in client.redirect_uris:
        raise Untrusted("AADSTS50011: the redirect address is not registered for this application.")
    mode = sent.get("response_mode", "query")
    asked = Asked(
        client_id=client.id,
        issuer=door.issuer,
        redirect_uri=target,
        scope=sent.get("scope", ""),
        challenge=sent.get("code_challenge", ""),
        response_mode=mode if mode in _MODES else "query",
        state=sent.get("state"),
        nonce=sent.get("nonce"),
        login_hint=sent.get("login_hint"),
        prompts=tuple(sent.get("prompt", "").split()),
    )
    wrong = _wrong_with(sent, mode, asked, tenant.registered.audience)
    if wrong is not None:
        raise Refused(*wrong, asked)
    return asked


def _wrong_with(sent: Sent, mode: str, asked: Asked, audience: str) -> tuple[str, str] | None:
    for name, error in _LEFT_OUT.items():
        if name in sent:
            return error, f"AADSTS90023: The parameter {name} is not supported."
    return _wrong_prompt(asked.prompts) or _wrong_protocol(sent, mode, asked, audience)


def _wrong_prompt(prompts: tuple[str, ...]) -> tuple[str, str] | None:
    """OIDC Core section 3.1.2.1: a list; `none` stands alone."""
    if "consent" in prompts:
        return "consent_required", "AADSTS65001: Nobody is asked for consent here."
    if not PROMPTS.issuperset(prompts):
        return "invalid_request", f"AADSTS90023: prompt must be made of {', '.join(sorted(PROMPTS))}."
    if "none" in prompts and len(prompts) > 1:
        return "invalid_request", "AADSTS90023: prompt=none goes with no other prompt."
    return None


def _wrong_protocol(sent: Sent, mode: str, asked: Asked, audience: str) -> tuple[str, str] | None:
    if sent.get("response_type") != "code":
        return "unsupported_response_type", "AADSTS700054: Only response_type=code is supported."
    if mode not in _MODES:
        return "invalid_request", f"AADSTS90023: response_mode must be one of {', '.join(sorted(_MODES))}."
    scopes = asked.scope.split()
    if "openid" not in scopes:
        return "invalid_scope", "AADSTS70011: The scope must contain openid."
    unknown = [each for each in scopes if each not in _OPEN_SCOPES and not each.startswith(f"{audience}/")]
    if unknown:
        return "invalid_scope", f"AADSTS70011: The scope {unknown[0]} is not known."
    if sent.get("code_challenge_method") != "S256":
        return "invalid_request", "AADSTS501491: code_challenge_method must be S256."
    if not _CHALLENGE.fullmatch(asked.challenge):
        return "invalid_request", "AADSTS501491: code_challenge is missing or malformed."
    return None
