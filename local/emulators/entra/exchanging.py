"""The token endpoint: codes and services' assertions become tokens (RFC 6749)."""

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from local.emulators.entra.applications import Application
from local.emulators.entra.assertions import ClientRefused, authenticated
from local.emulators.entra.config import GRAPH, Door
from local.emulators.entra.tenant import Tenant
from local.emulators.entra.tokens import LIFETIME_SECONDS, Bearer, Mint
from local.emulators.replies import Json, json_reply

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_DEFAULT_SCOPE = "/.default"

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
        """Tokens for a code or an assertion."""
        async with request.form(max_files=0, max_fields=20) as sent:
            fields = {name: value for name, value in sent.items() if isinstance(value, str)}
        try:
            answer = self._answer(fields)
        except ClientRefused as refusal:
            return json_reply({"error": "invalid_client", "error_description": str(refusal)}, 401, NO_STORE)
        except GrantRefused as refusal:
            return json_reply({"error": refusal.error, "error_description": str(refusal)}, 400, NO_STORE)
        return json_reply(answer, headers=NO_STORE)

    def _answer(self, fields: Fields) -> Json:
        match fields.get("grant_type"):
            case "authorization_code":
                return self._of_code(fields)
            case "client_credentials":
                return self._of_service(fields)
            case kind:
                raise GrantRefused("unsupported_grant_type", f"AADSTS70003: The grant type {kind!r} is not supported.")

    def _of_code(self, fields: Fields) -> Json:
        """RFC 6749 section 4.1.3, RFC 7636 section 4.5."""
        client = self._public_client(fields)
        granted = self._tenant.grants.redeem(fields.get("code", ""))
        if granted is None or granted.asked.client_id != client.id:
            raise GrantRefused("invalid_grant", "AADSTS70008: The code is unknown, has expired or was redeemed.")
        asked = granted.asked
        if fields.get("redirect_uri") != asked.redirect_uri:
            raise GrantRefused("invalid_grant", "AADSTS50011: The redirect address differs from the request's.")
        if not hmac.compare_digest(_challenge(fields.get("code_verifier", "")), asked.challenge):
            raise GrantRefused("invalid_grant", "AADSTS501481: The code_verifier does not match the code_challenge.")
        user = self._tenant.users.get(granted.user_id)
        if user is None or not user.enabled:
            raise GrantRefused("invalid_grant", "AADSTS50057: The user is disabled or was deleted.")
        bearer = Bearer.of(user)
        return {
            "token_type": "Bearer",
            "scope": asked.scope,
            "expires_in": LIFETIME_SECONDS,
            "ext_expires_in": LIFETIME_SECONDS,
            "access_token": self._mint.access_token(bearer),
            "id_token": self._mint.id_token(bearer, nonce=asked.nonce),
        }

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
            "expires_in": LIFETIME_SECONDS,
            "ext_expires_in": LIFETIME_SECONDS,
            "access_token": self._mint.service_token(service, resource),
        }

    def _public_client(self, fields: Fields) -> Application:
        client = self._tenant.applications.get(fields.get("client_id"))
        if client is None or not client.redirect_uris:
            raise ClientRefused("AADSTS700016: Application was not found in the directory.")
        return client


def _challenge(verifier: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
