"""How the smoke test's operator signs in without a browser: native authentication, version 1.

https://learn.microsoft.com/entra/identity-platform/reference-native-authentication-api. It exists in External ID
tenants alone, for an app registration that allows it. The operator is a person to Tessera, since service keys cannot
sell.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import httpx

REQUEST_SECONDS: Final = 30.0
_CHALLENGES: Final = "password redirect"


class SignInFailed(Exception):
    """No token: the message has the service's own words, and never the password."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who signs in, and where.

    :param authority: the tenant, e.g. `https://tessera.ciamlogin.com/<tenant id>`
    :param client_id: an app registration with native authentication
    :param scope: what the token is for, e.g. `api://tessera/tickets.use`
    """

    authority: str
    client_id: str
    scope: str
    username: str
    password: str = field(repr=False)

    def token(self) -> str:
        """An access token.

        :raises SignInFailed: refused, or no answer
        """
        try:
            with httpx.Client(timeout=REQUEST_SECONDS) as http:
                begun = self._ask(http, "initiate", username=self.username, challenge_type=_CHALLENGES)
                asked = self._ask(
                    http, "challenge", continuation_token=_continuation(begun), challenge_type=_CHALLENGES
                )
                if asked.get("challenge_type") != "password":
                    raise SignInFailed(f"the tenant asks {self.username} for more than a password: {_said(asked)}")
                answer = self._ask(
                    http, "token", continuation_token=_continuation(asked), grant_type="password",
                    password=self.password, scope=f"openid {self.scope}",
                )  # fmt: skip
        except httpx.HTTPError as error:
            raise SignInFailed(f"{self.authority} does not answer: {str(error) or type(error).__name__}") from error
        found: str = answer["access_token"]
        return found

    def _ask(self, http: httpx.Client, step: str, **fields: str) -> dict[str, Any]:
        answer = http.post(f"{self.authority}/oauth2/v2.0/{step}", data={"client_id": self.client_id, **fields})
        if "json" not in answer.headers.get("content-type", ""):
            raise SignInFailed(f"{step}: {answer.status_code}, and no JSON")
        found: dict[str, Any] = answer.json()
        if not answer.is_success:
            raise SignInFailed(f"{step}: {answer.status_code} {_said(found)}")
        return found


def _continuation(answer: dict[str, Any]) -> str:
    token = answer.get("continuation_token")
    if not token:
        raise SignInFailed(f"native authentication is not allowed for this app or user: {_said(answer)}")
    return str(token)


def _said(answer: dict[str, Any]) -> str:
    return " ".join(str(answer[name]) for name in ("error", "error_description", "challenge_type") if name in answer)
