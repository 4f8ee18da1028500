"""The token endpoint: codes, refresh tokens and services' assertions become tokens (RFC 6749)."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.applications import Application
from local.emulators.entra.assertions import ClientRefused, authenticated
from local.emulators.entra.config import GRAPH, Door
from local.emulators.entra.families import Family, RefreshRefused
from local.emulators.entra.faults import die
from local.emulators.entra.grants import CodeReplayed, Granted
from local.emulators.entra.keys import TOKEN_SECONDS
from local.emulators.entra.sessions import still_valid
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.tokens import Bearer, Mint
from local.emulators.entra.users import User
from local.emulators.replies import Json, json_reply
from local.emulators.serving import break_connection

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_DEFAULT_SCOPE = "/.default"
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1

type Fields = Mapping[str, str]


class GrantRefused(Exception):
    """No tokens for this request: `error` is RFC 6749's word for it."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error


class TokenEndpoint:
    """One door's."""

    def __init__(self, tenant: Tenant, door: Door, mint: Mint) -> None:
        self._tenant = tenant
        self._door = door
        self._mint = mint

    async def exchange(self, request: Request) -> Response:
        """Tokens for a code, a refresh token or an assertion."""
        async with request.form(max_files=0, max_fields=20) as sent:
            told = [(name, value) for name, value in sent.multi_items() if isinstance(value, str)]
        try:
            answer = self._answer(_once_each(told))
        except ClientRefused as refusal:
            return json_reply({"error": "invalid_client", "error_description": str(refusal)}, 401, _NO_STORE)
        except GrantRefused as refusal:
            return json_reply({"error": refusal.error, "error_description": str(refusal)}, 400, _NO_STORE)
        fault = self._tenant.faults.first(lambda _: True)
        if fault is not None and fault.kind == "die":
            die()
        if fault is not None:
            await break_connection(request.scope, request.receive)
        return json_reply(answer, headers=_NO_STORE)

    def _answer(self, fields: Fields) -> Json:
        match fields.get("grant_type"):
            case "authorization_code":
                return self._of_code(fields)
            case "refresh_token":
                return self._of_refresh_token(fields)
            case "client_credentials":
                return self._of_service(fields)
            case kind:
                raise GrantRefused("unsupported_grant_type", f"AADSTS70003: The grant type {kind!r} is not supported.")

    def _of_code(self, fields: Fields) -> Json:
        """RFC 6749 section 4.1.3, RFC 7636 section 4.5."""
        client = self._public_client(fields)
        granted = self._redeemed(fields.get("code", ""))
        asked = granted.asked
        if (asked.client_id, asked.issuer) != (client.id, self._door.issuer):
            raise GrantRefused("invalid_grant", "AADSTS70008: The code was made for another application.")
        if fields.get("redirect_uri") != asked.redirect_uri:
            raise GrantRefused("invalid_grant", "AADSTS50011: The redirect address differs from the request's.")
        verifier = fields.get("code_verifier", "")
        if not (_VERIFIER.fullmatch(verifier) and hmac.compare_digest(_challenge(verifier), asked.challenge)):
            raise GrantRefused("invalid_grant", "AADSTS501481: The code_verifier does not match the code_challenge.")
        user = self._tenant.users.get(granted.user_id)
        if user is None or not still_valid(user, granted.made_at):
            raise GrantRefused("invalid_grant", "AADSTS50057: The user is signed out, disabled or deleted.")
        refresh = self._begun(granted, fields["code"]) if "offline_access" in asked.scope.split() else None
        return self._tokens(fields, user, asked.scope, refresh, nonce=asked.nonce)

    def _redeemed(self, code: str) -> Granted:
        """What a code stands for; whatever it is refused for next, it is spent."""
        try:
            with self._tenant.database.transaction():
                granted = self._tenant.grants.redeem(code, now=self._tenant.clock.now())
        except CodeReplayed as replayed:
            if replayed.family is not None:
                self._tenant.families.revoke(replayed.family, "its code came again")
            granted = None
        if granted is None:
            raise GrantRefused("invalid_grant", "AADSTS70008: The code is unknown, has expired or was redeemed.")
        return granted

    def _begun(self, granted: Granted, code: str) -> str:
        with self._tenant.database.transaction():
            family, token = self._tenant.families.begin(
                issuer=self._door.issuer,
                client_id=granted.asked.client_id,
                user_id=granted.user_id,
                session=granted.session,
                scope=granted.asked.scope,
                now=self._tenant.clock.now(),
            )
            self._tenant.grants.gave(code, family.id)
        return token

    def _of_refresh_token(self, fields: Fields) -> Json:
        """RFC 6749 section 6, with rotation (RFC 9700 section 4.14.2)."""
        client = self._public_client(fields)
        try:
            family, token = self._tenant.families.rotate(
                fields.get("refresh_token", ""),
                issuer=self._door.issuer,
                client_id=client.id,
                may=lambda family: self._user_of(family) is not None,
                now=self._tenant.clock.now(),
            )
        except RefreshRefused as refusal:
            raise GrantRefused("invalid_grant", f"AADSTS70008: {refusal}") from None
        user = self._user_of(family)
        assert user is not None, "looked at in the same breath"
        wanted = fields.get("scope", "").split()
        scope = " ".join(each for each in family.scope.split() if not wanted or each in wanted)
        return self._tokens(fields, user, scope, token, nonce=None)

    def _user_of(self, family: Family) -> User | None:
        user = self._tenant.users.get(family.user_id)
        return user if user is not None and still_valid(user, family.began_at) else None

    def _tokens(self, fields: Fields, user: User, scope: str, refresh: str | None, *, nonce: str | None) -> Json:
        bearer, client_id = Bearer.of(user), fields["client_id"]
        answer = {
            "token_type": "Bearer",
            "scope": scope,
            "expires_in": TOKEN_SECONDS,
            "ext_expires_in": TOKEN_SECONDS,
            "access_token": self._mint.access_token(bearer, client_id=client_id),
            "id_token": self._mint.id_token(bearer, client_id=client_id, nonce=nonce),
        }
        if fields.get("client_info") == "1":  # what msal files its accounts by
            told = orjson.dumps({"uid": user.id, "utid": self._door.tenant})
            answer["client_info"] = urlsafe_b64encode(told).rstrip(b"=").decode()
        return answer if refresh is None else answer | {"refresh_token": refresh}

    def _of_service(self, fields: Fields) -> Json:
        """RFC 6749 section 4.4: a token for the service itself, with the application roles it was given."""
        service = authenticated(fields, self._tenant.applications, self._door)
        resource = fields.get("scope", "").removesuffix(_DEFAULT_SCOPE)
        if f"{resource}{_DEFAULT_SCOPE}" != fields.get("scope"):
            raise GrantRefused("invalid_scope", "AADSTS1002012: The scope must be one resource's /.default.")
        if resource not in {GRAPH, self._tenant.registered.audience}:
            raise GrantRefused("invalid_resource", f"AADSTS500011: The resource {resource} was not found.")
        return {
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "ext_expires_in": TOKEN_SECONDS,
            "access_token": self._mint.service_token(service, resource),
        }

    def _public_client(self, fields: Fields) -> Application:
        client = self._tenant.applications.get(fields.get("client_id"))
        if client is None or not client.redirect_uris:
            raise ClientRefused("AADSTS700016: Application was not found in the directory.")
        return client


def _once_each(sent: list[tuple[str, str]]) -> Fields:
    """:raises GrantRefused: a parameter is repeated (RFC 6749 section 3.2)"""
    fields = dict(sent)
    if len(fields) != len(sent):
        raise GrantRefused("invalid_request", "AADSTS90015: A parameter is repeated.")
    return fields


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
