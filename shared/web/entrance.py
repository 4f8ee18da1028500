"""Where every request comes in: first that it came through the gateway, then who sends it.

The gateway is not trusted with more than that: whatever it has checked is checked again behind this door.
"""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

from shared.audit import AuditTrail
from shared.auth.permissions import Caller, Permission
from shared.kernel.errors import DomainError, Kind

PROOF_HEADER: Final = "x-gateway-secret"
PRINCIPAL_HEADER: Final = "x-ms-client-principal-id"  # App Service authentication writes it, over anybody else's
FORWARDED_HEADER: Final = "x-forwarded-authorization"


class NotThroughGateway(DomainError):
    """The request did not come through the gateway; send it to the address of the API."""

    kind = Kind.FORBIDDEN


class AdmitsCallers(Protocol):
    """What knows callers (`shared/auth/gate.py`)."""

    async def admit(self, authorization: str | None, needs: Permission, now: datetime) -> Caller:
        """The caller, or a refusal."""
        ...


class Entrance:
    """Lets requests in that came through the gateway, as far as it is configured how that is proven.

    :param gate: admits their callers
    :param trail: where is written down what they did
    :param secrets: any of them in `x-gateway-secret` is proof; none: not asked for
    :param principal_id: the gateway's managed identity, which App Service authentication must have seen; empty: not
        asked for. The caller's own token is then in `x-forwarded-authorization`
    """

    def __init__(
        self, gate: AdmitsCallers, trail: AuditTrail, *, secrets: Sequence[str] = (), principal_id: str = ""
    ) -> None:
        self._gate = gate
        self.trail = trail
        self._secrets = tuple(secret.encode() for secret in secrets)
        self._principal_id = principal_id.encode()

    async def admit(self, headers: Mapping[str, str], needs: Permission, now: datetime, *, probe: bool) -> Caller:
        """The caller of a request.

        :param headers: of the request, looked up in any case
        :param probe: whether it is one of the platform's own questions, which come past the gateway
        :raises NotThroughGateway: it is none, and did not come through the gateway
        """
        if not probe and not self._came_through(headers):
            raise NotThroughGateway("Send this request to the address of the API, not to the functions behind it.")
        own = headers.get(FORWARDED_HEADER if self._principal_id else "authorization")
        return await self._gate.admit(own or None, needs, now)

    def _came_through(self, headers: Mapping[str, str]) -> bool:
        if self._principal_id and not _same(headers.get(PRINCIPAL_HEADER), (self._principal_id,)):
            return False
        return not self._secrets or _same(headers.get(PROOF_HEADER), self._secrets)


def _same(given: str | None, known: Sequence[bytes]) -> bool:
    """Whether `given` is one of them; all are compared, so that the time it takes tells nothing."""
    sent = (given or "").encode("utf-8", "backslashreplace")
    same = False
    for each in known:
        same |= hmac.compare_digest(sent, each)
    return same
