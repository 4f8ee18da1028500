"""Invitations: a mailed link that makes whoever follows it, signed in, a member. Pure.

The code in the link is not stored: it follows from our secret, the invitation and what was made up for its mail. So a
copy of the store opens no door, and a code mailed anew makes the one before worthless.
"""

import hmac
import re
from datetime import datetime, timedelta
from enum import StrEnum, unique
from hashlib import sha256
from typing import Final, NamedTuple, Self

from pydantic import ConfigDict

from shared.auth.permissions import Membership
from shared.kernel.clock import Moment
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import OrganiserId, PersonId, derived_id
from shared.kernel.model import Model

LIFE: Final = timedelta(days=7)
MAILED_AGAIN_AFTER: Final = timedelta(minutes=10)  # an owner cannot flood an inbox
_KEPT: Final = timedelta(days=30)
_MAC_CHARACTERS: Final = 40  # 160 bits
_CODE: Final = re.compile(
    r"(?P<organiser>org_[a-z2-7]{26})\.(?P<invitation>inv_[a-z2-7]{26})\.(?P<nonce>[a-z2-7]{26})\.(?P<mac>[0-9a-f]{40})"
)


class InvitationOver(DomainError):
    """The invitation was used, withdrawn, replaced by a newer mail, or is too old."""

    kind = Kind.CONFLICT


class InvitedJustNow(DomainError):
    """The address was mailed a moment ago; `retry_after_seconds` says when it can be mailed again."""

    kind = Kind.CONFLICT


class AlreadyMember(DomainError):
    """The person belongs to the organiser already; `role` says as what."""

    kind = Kind.CONFLICT


@unique
class InvitationState(StrEnum):
    """open → accepted, or open → withdrawn."""

    OPEN = "open"
    ACCEPTED = "accepted"
    WITHDRAWN = "withdrawn"


class Invitation(Model):
    """An invitation as stored; one address has at most one of an organiser.

    :param nonce: made up for each mail: only the newest mail's code is good, and none of an invitation that is gone
    :param by: who invited
    :param accepted_by: who followed the link
    :param changed_at: when something last became of it
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    invitation_id: str
    organiser_id: OrganiserId
    email: str
    role: Membership
    by: str
    mailed_at: Moment
    expires_at: Moment
    nonce: str
    state: InvitationState = InvitationState.OPEN
    accepted_by: PersonId | None = None
    changed_at: Moment

    @property
    def kept_seconds(self) -> int:
        """How long the document is kept after its last change: the address is somebody's who may never come."""
        return int((LIFE + _KEPT).total_seconds())

    def is_open(self, now: datetime) -> bool:
        """Whether it can still be accepted."""
        return self.state is InvitationState.OPEN and now < self.expires_at

    def again(self, *, role: Membership, by: str, nonce: str, now: datetime) -> Self:
        """Invited anew, by another mail; the same invitation, if that is what is asked for and it was just mailed.

        :raises InvitedJustNow: another mail would follow the last too closely
        """
        if now - self.mailed_at < MAILED_AGAIN_AFTER:
            if self.is_open(now) and self.role is role:
                return self
            wait = self.mailed_at + MAILED_AGAIN_AFTER - now
            raise InvitedJustNow(
                f"This address was mailed less than {MAILED_AGAIN_AFTER.seconds // 60} minutes ago; wait a little.",
                retry_after_seconds=int(wait.total_seconds()) + 1,
            )
        return self.model_copy(
            update={
                "role": role, "by": by, "mailed_at": now, "expires_at": now + LIFE, "nonce": nonce,
                "state": InvitationState.OPEN, "accepted_by": None, "changed_at": now,
            }
        )  # fmt: skip

    def accepted(self, person_id: PersonId, *, nonce: str, now: datetime) -> Self:
        """Used by a person; again by the same one changes nothing.

        :raises InvitationOver: it cannot be accepted any more
        """
        if nonce == self.nonce and self.state is InvitationState.ACCEPTED and self.accepted_by == person_id:
            return self
        if not self.is_open(now) or nonce != self.nonce:
            raise InvitationOver("This invitation was used, withdrawn or replaced, or is too old; ask for a new one.")
        return self.model_copy(update={"state": InvitationState.ACCEPTED, "accepted_by": person_id, "changed_at": now})

    def withdrawn(self, now: datetime) -> Self:
        """Good for nothing any more.

        :raises InvitationOver: somebody accepted it
        """
        if self.state is InvitationState.ACCEPTED:
            raise InvitationOver("This invitation was accepted; remove the member instead.")
        if self.state is InvitationState.WITHDRAWN:
            return self
        return self.model_copy(update={"state": InvitationState.WITHDRAWN, "changed_at": now})


class Code(NamedTuple):
    """What a code says, once its signature was checked."""

    organiser_id: OrganiserId
    invitation_id: str
    nonce: str


class InvitationCodes:
    """Makes and reads the codes of invitations.

    :param secret: ours alone
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def id_of(self, organiser_id: OrganiserId, email: str) -> str:
        """The id of an address's invitation: asked again it is the same, and only we can tell whose it is."""
        address = hmac.new(self._secret, f"address.{email.strip().lower()}".encode(), sha256).hexdigest()
        return derived_id("inv", organiser_id, address)

    def code(self, invitation: Invitation) -> str:
        """The code of an invitation's newest mail."""
        said = f"{invitation.organiser_id}.{invitation.invitation_id}.{invitation.nonce}"
        return f"{said}.{self._mac(said)}"

    def read(self, code: str) -> Code | None:
        """What a code says; None if it is not one of ours."""
        found = _CODE.fullmatch(code)
        if found is None or not hmac.compare_digest(found["mac"], self._mac(code.rpartition(".")[0])):
            return None
        return Code(OrganiserId(found["organiser"]), found["invitation"], found["nonce"])

    def _mac(self, said: str) -> str:
        return hmac.new(self._secret, f"invitation.{said}".encode(), sha256).hexdigest()[:_MAC_CHARACTERS]
