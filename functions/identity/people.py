"""People as we know them: their profile, and which account in the directory is theirs. Pure.

What a person may do is another document (`standings.py`), which every request reads; this one only they and admins see.
"""

from datetime import timedelta
from enum import StrEnum, unique
from typing import Final, Self

from pydantic import ConfigDict

from functions.identity.invitations import MAILED_AGAIN_AFTER
from shared.auth.permissions import Caller
from shared.directory.port import DirectoryUser
from shared.kernel.clock import Moment
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import PersonId
from shared.kernel.model import Model

OVERDUE_AFTER: Final = timedelta(days=1)
PAUSE_SECONDS_MAX: Final = 3600
GONE_AFTER_SECONDS: Final = 48 * 3600  # longer than any access token lives: until then we must know whom to refuse


class BeingErased(DomainError):
    """The person asked to be forgotten, or an admin did; that cannot be taken back."""

    kind = Kind.CONFLICT


class Profile(Model):
    """A person's profile.

    :param name: what they want to be called: at first what their token says; empty while only a search showed them
    :param email: what their token said last
    :param locale: as they chose it (BCP 47), or empty
    :param user_id: their account in the directory, where tokens or the directory told it
    :param seen_at: when they first were here; None while only an admin knows them
    :param invited_at: when they were last mailed that they have an account
    :param invitations: how often they were
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    person_id: PersonId
    name: str
    email: str
    locale: str = ""
    user_id: str = ""
    seen_at: Moment | None = None
    invited_at: Moment | None = None
    invitations: int = 0

    def invited(self, now: Moment) -> Self:
        """To be mailed that they have an account; as they are, if they were here, or were mailed a moment ago."""
        if self.seen_at or (self.invited_at and now - self.invited_at < MAILED_AGAIN_AFTER):
            return self
        return self.model_copy(update={"invited_at": now, "invitations": self.invitations + 1})

    def as_kept(self, user: DirectoryUser, *, whole: bool) -> Self:
        """The profile after an admin saw the account, or (`whole`) made it: what it says already stays."""
        update = {"user_id": self.user_id or user.user_id}
        if whole:
            update |= {"name": self.name or user.name, "email": self.email or user.email}
        return self.model_copy(update=update)

    def as_told(self, caller: Caller, now: Moment) -> Self:
        """The profile after its person was here: the address is the token's if it has one, the name what they chose."""
        return self.model_copy(
            update={
                "name": self.name or caller.name,
                "email": caller.email or self.email,
                "user_id": caller.user_id or self.user_id,
                "seen_at": self.seen_at or now,
            }
        )


@unique
class Phase(StrEnum):
    """begun → swept → over. Swept: nothing was left to be found; what was on its way then is swept later."""

    BEGUN = "begun"
    SWEPT = "swept"
    OVER = "over"


class Erasure(Model):
    """That a person is to be forgotten, and how far that is.

    :param user_id: their account in the directory, to be deleted too; empty: we know of none
    :param addresses: under which invitations may wait for them
    :param waits: how often something had to be waited for in this phase
    :param account_kept: whether the directory refuses to delete the account: then somebody does that by hand
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    erasure_id: str
    person_id: PersonId
    user_id: str
    addresses: tuple[str, ...]
    begun_at: Moment
    phase: Phase = Phase.BEGUN
    swept_at: Moment | None = None
    waits: int = 0
    account_kept: bool = False

    def overdue(self, now: Moment) -> bool:
        """Whether this phase has gone on for longer than anything that is waited for should take."""
        return now - (self.swept_at or self.begun_at) > OVERDUE_AFTER

    @property
    def pause(self) -> timedelta:
        """How long to wait before it is tried again: twice as long each time, up to an hour."""
        return timedelta(seconds=min(2**self.waits, PAUSE_SECONDS_MAX))

    def waiting(self) -> Self:
        """Something had to be waited for once more."""
        return self.model_copy(update={"waits": self.waits + 1})

    def swept(self, now: Moment) -> Self:
        """Nothing is left to be found."""
        return self.model_copy(update={"phase": Phase.SWEPT, "swept_at": now, "waits": 0})

    def over(self) -> Self:
        """Nothing can come any more. What this says of the person is gone with it, but for an account that is kept."""
        user_id = self.user_id if self.account_kept else ""
        return self.model_copy(update={"phase": Phase.OVER, "user_id": user_id, "addresses": ()})
