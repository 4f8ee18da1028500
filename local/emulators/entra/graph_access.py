"""Who may ask Graph: services whose token is for it and carries a role that the request needs."""

from typing import Any

import jwt

from local.emulators.entra.clock import Clock
from local.emulators.entra.config import GRAPH
from local.emulators.entra.graph_errors import GraphError
from local.emulators.entra.keys import KeyRing

LEEWAY_SECONDS = 60
# The permissions of https://learn.microsoft.com/graph/permissions-reference that each operation's page names.
_WRITE_ALL = {"User.ReadWrite.All", "Directory.ReadWrite.All"}
READ = frozenset({"User.Read.All", "Directory.Read.All", *_WRITE_ALL})
WRITE = frozenset(_WRITE_ALL)
REVOKE = frozenset({"User.RevokeSessions.All", *_WRITE_ALL})
DELETE_FOR_GOOD = frozenset({"User.DeleteRestore.All"})
DELETE = WRITE | DELETE_FOR_GOOD


class Doorkeeper:
    """Checks access tokens of the directory's own making.

    :param issuer: which it issues tokens under
    """

    def __init__(self, keys: KeyRing, clock: Clock, issuer: str) -> None:
        self._keys = keys
        self._clock = clock
        self._issuer = issuer

    def admit(self, authorization: str, needs: frozenset[str]) -> None:
        """Let the request go on.

        :param needs: permissions, each of which is enough
        :raises GraphError: 401 without a token for Graph, 403 without the permission
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthenticated("Access token is empty.")
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = jwt.PyJWKSet.from_dict(self._keys.jwks())[kid or ""]
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=GRAPH,
                issuer=self._issuer,
                # By the double's own clock, which tests may have moved.
                options={
                    "require": ["exp", "nbf", "aud", "iss"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
            self._check_time(claims)
        except jwt.InvalidAudienceError:
            raise _unauthenticated("Access token validation failure. Invalid audience.") from None
        except (jwt.PyJWTError, KeyError) as error:
            raise _unauthenticated(f"Access token validation failure. {error}") from error
        roles = claims.get("roles")
        if not needs & set(roles if isinstance(roles, list) else []):
            raise GraphError(
                "Insufficient privileges to complete the operation.", status=403, code="Authorization_RequestDenied"
            )

    def _check_time(self, claims: dict[str, Any]) -> None:
        if not claims["nbf"] - LEEWAY_SECONDS <= self._clock.now() < claims["exp"] + LEEWAY_SECONDS:
            raise _unauthenticated("Lifetime validation failed, the token is expired or not valid yet.")


def _unauthenticated(message: str) -> GraphError:
    return GraphError(message, status=401, code="InvalidAuthenticationToken")
