"""The OpenID Connect endpoints a client meets: discovery, keys, authorize, sign-in page, token, sign-out."""

from pathlib import Path
from urllib.parse import urlencode

from starlette.datastructures import FormData, QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.emulators.entra.config import Door
from local.emulators.entra.directory import Throttled
from local.emulators.entra.exchanging import NO_STORE
from local.emulators.entra.grants import Asked
from local.emulators.entra.people import PEOPLE
from local.emulators.entra.tenant import Tenant
from local.emulators.replies import Pages, json_reply

_CHALLENGE_LENGTH = 43  # SHA-256 in base64url, RFC 7636 section 4.2


class _BadRequest(Exception):
    """A request from a client we cannot trust enough to send anybody back to it."""


class _Refused(Exception):
    """An authorization request to be answered at its redirect address."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class Provider:
    """The tenant as it looks through one door."""

    def __init__(self, tenant: Tenant, door: Door) -> None:
        self._tenant = tenant
        self._door = door
        self._pages = Pages(Path(__file__).parent / "templates")

    async def index(self, _: Request) -> Response:
        """What this is and where clients find it."""
        return self._pages.show("index.html", door=self._door, registered=self._tenant.registered, people=PEOPLE)

    async def discovery(self, _: Request) -> Response:
        """The metadata document (OpenID Connect Discovery 1.0)."""
        root = self._door.root
        return json_reply(
            {
                "issuer": self._door.issuer,
                "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
                "token_endpoint": self._door.token_endpoint,
                "end_session_endpoint": f"{root}/oauth2/v2.0/logout",
                "jwks_uri": f"{root}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "fragment"],
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": ["PS256", "RS256"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email"],
                "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "oid", "tid", "name", "email", "ver"],
            }
        )

    async def jwks(self, _: Request) -> Response:
        """The published keys."""
        return json_reply(self._tenant.keys.jwks())

    async def authorize(self, request: Request) -> Response:
        """Show the sign-in page, or refuse the request."""
        asked = request.query_params
        try:
            target = self._trusted_target(asked)
        except _BadRequest as error:
            return self._pages.show("message.html", 400, heading="This sign-in cannot start", text=str(error))
        mode = asked.get("response_mode", "query")
        state = asked.get("state")
        try:
            wanted = _read_request(asked, target, mode)
        except _Refused as refusal:
            return _back(target, mode, {"error": refusal.error, "error_description": str(refusal)}, state)
        return self._sign_in_page(self._tenant.grants.begin(wanted), wanted.login_hint or "", None, 200)

    async def sign_in(self, request: Request) -> Response:
        """Check the password; back to the client with a code when it is right."""
        async with request.form(max_files=0, max_fields=10) as sent:
            identity, email, password = (_text(sent, name) for name in ("request", "email", "password"))
        asked = self._tenant.grants.pending(identity)
        if asked is None:
            text = "Please start again from the application."
            return self._pages.show("message.html", 400, heading="This sign-in is over", text=text)
        try:
            user = await self._tenant.directory.sign_in(email, password)
        except Throttled:
            return self._sign_in_page(identity, email, "Too many tries. Wait a minute, then try again.", 429)
        if user is None:
            return self._sign_in_page(identity, email, "The address or the password is wrong.", 401)
        code = self._tenant.grants.grant(identity, user.id)
        if code is None:
            text = "It was already used. Please start again from the application."
            return self._pages.show("message.html", 400, heading="This sign-in is over", text=text)
        return _back(asked.redirect_uri, asked.response_mode, {"code": code}, asked.state)

    async def sign_out(self, request: Request) -> Response:
        """Nothing is kept of a sign-in, so only say so, or go back to a registered address."""
        target = request.query_params.get("post_logout_redirect_uri", "")
        if any(target in application.redirect_uris for application in self._tenant.applications.all()):
            state = request.query_params.get("state")
            return RedirectResponse(target if state is None else f"{target}?{urlencode({'state': state})}", 302)
        return self._pages.show("message.html", heading="You are signed out", text="You can close this page.")

    def _trusted_target(self, asked: QueryParams) -> str:
        client = self._tenant.applications.get(asked.get("client_id"))
        if client is None or not client.redirect_uris:
            raise _BadRequest("AADSTS700016: the application (client_id) is not known in this directory.")
        target = asked.get("redirect_uri", "")
        if target not in client.redirect_uris:
            raise _BadRequest("AADSTS50011: the redirect address is not registered for this application.")
        return target

    def _sign_in_page(self, identity: str, email: str, problem: str | None, status: int) -> Response:
        action = f"/{self._door.tenant}/login"
        return self._pages.show(
            "sign_in.html", status, identity=identity, email=email, problem=problem, people=PEOPLE, action=action
        )


def _read_request(asked: QueryParams, target: str, mode: str) -> Asked:
    if asked.get("response_type") != "code":
        raise _Refused("unsupported_response_type", "AADSTS700054: Only response_type=code is supported.")
    if mode not in {"query", "fragment"}:
        raise _Refused("invalid_request", "AADSTS90023: Only response_mode query and fragment are supported.")
    scope = asked.get("scope", "")
    if "openid" not in scope.split():
        raise _Refused("invalid_scope", "AADSTS70011: The scope must contain openid.")
    if asked.get("code_challenge_method") != "S256":
        raise _Refused("invalid_request", "AADSTS501491: code_challenge_method must be S256.")
    challenge = asked.get("code_challenge", "")
    if len(challenge) != _CHALLENGE_LENGTH:
        raise _Refused("invalid_request", "AADSTS501491: code_challenge is missing or malformed.")
    return Asked(
        client_id=asked["client_id"],
        redirect_uri=target,
        scope=scope,
        challenge=challenge,
        response_mode=mode,
        state=asked.get("state"),
        nonce=asked.get("nonce"),
        login_hint=asked.get("login_hint"),
    )


def _back(target: str, mode: str, answer: dict[str, str], state: str | None) -> Response:
    if state is not None:
        answer = answer | {"state": state}
    mark = "#" if mode == "fragment" else "&" if "?" in target else "?"
    return RedirectResponse(f"{target}{mark}{urlencode(answer)}", 303, headers=NO_STORE)


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value if isinstance(value, str) else ""
