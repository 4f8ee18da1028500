"""Teams: who belongs to an organiser, and as what. Pure; a team always has an owner."""

from datetime import date
from typing import Final, Self

from pydantic import ConfigDict

from shared.auth.permissions import Membership
from shared.kernel.clock import Moment
from shared.kernel.errors import DomainError, Kind
from shared.kernel.ids import OrganiserId, PersonId
from shared.kernel.model import Model

MEMBERS_MAX: Final = 2_000
INVITATIONS_A_DAY_MAX: Final = 200  # an organiser's name is free text in a mail that we send: nobody's advertisement
MEMBERSHIPS_MAX: Final = 200


class LastOwner(DomainError):
    """An organiser would have no owner any more."""

    kind = Kind.CONFLICT


class ConsentMissing(DomainError):
    """Nobody owns an organiser who never agreed to work there: an only owner cannot leave."""

    kind = Kind.CONFLICT


class TooManyMembers(DomainError):
    """The organiser has as many members as one can."""

    kind = Kind.CONFLICT


class TooManyMemberships(DomainError):
    """A person belongs to as many organisers as one can."""

    kind = Kind.CONFLICT


class TooManyInvitations(DomainError):
    """The organiser invited as many people today as one can in a day."""

    kind = Kind.CONFLICT


class Member(Model):
    """What a person is to an organiser; `role` None: nothing any more, which copies must learn too.

    :param by: who made them that
    :param accepted: whether they agreed to work there: by creating it, by an invitation, or by an act of their own
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    organiser_id: OrganiserId
    person_id: PersonId
    role: Membership | None
    since: Moment
    by: str
    accepted: bool = False


class Team(Model):
    """How many there are: what every change of a team goes through, so that two cannot each remove the other.

    :param name: the organiser's, as invitations call it
    :param invited: how many mails of invitations went out on `invited_on`, a UTC day
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    organiser_id: OrganiserId
    name: str
    owners: int = 0
    members: int = 0
    invited_on: date | None = None
    invited: int = 0

    def invited_one(self, today: date) -> Self:
        """The team after it invited somebody.

        :raises TooManyInvitations: it would be more than `INVITATIONS_A_DAY_MAX` today
        """
        invited = self.invited + 1 if self.invited_on == today else 1
        if invited > INVITATIONS_A_DAY_MAX:
            raise TooManyInvitations(f"An organiser can invite {INVITATIONS_A_DAY_MAX} people a day.")
        return self.model_copy(update={"invited_on": today, "invited": invited})

    def changed(self, before: Membership | None, after: Membership | None) -> Self:
        """The team after one of its members, or somebody new, became something else.

        :raises LastOwner: nobody would own the organiser
        :raises TooManyMembers: it would be more than `MEMBERS_MAX`
        """
        owners = self.owners + (after is Membership.OWNER) - (before is Membership.OWNER)
        members = self.members + (after is not None) - (before is not None)
        if owners < 1:
            raise LastOwner(
                "An organiser needs an owner: make somebody else one first, or ask an admin to hand it over."
            )
        if members > MEMBERS_MAX and members > self.members:
            raise TooManyMembers(f"An organiser can have {MEMBERS_MAX} members.")
        return self.model_copy(update={"owners": owners, "members": members})
