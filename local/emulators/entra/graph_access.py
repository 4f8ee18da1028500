"""Who may ask Graph: services whose token is for it and carries a role that the request needs."""

import jwt

from local.emulators.entra.config import GRAPH
from local.emulators.entra.graph_errors import GraphError
from local.emulators.entra.keys import KeyRing

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

    def __init__(self, keys: KeyRing, issuer: str) -> None:
        self._keys = keys
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
                options={"require": ["exp", "iat", "aud", "iss"]},
            )
        except jwt.InvalidAudienceError:
            raise _unauthenticated("Access token validation failure. Invalid audience.") from None
        except (jwt.PyJWTError, KeyError) as error:
            raise _unauthenticated(f"Access token validation failure. {error}") from error
        roles = claims.get("roles")
        if not needs & set(roles if isinstance(roles, list) else []):
            raise GraphError(
                "Insufficient privileges to complete the operation.", status=403, code="Authorization_RequestDenied"
            )


def _unauthenticated(message: str) -> GraphError:
    return GraphError(message, status=401, code="InvalidAuthenticationToken")
