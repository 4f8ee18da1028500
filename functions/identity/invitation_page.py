"""The page an invitation's mail leads to: who invites as what, and how to accept. It tells no address."""

from datetime import datetime
from pathlib import Path
from typing import Final

from functions.identity.invitations import Invitation, InvitationState
from functions.identity.teams import Team
from shared.auth.permissions import Membership
from shared.web.cards import card_template

_PAGE: Final = Path(__file__).parent / "pages" / "invitation.html"
WORK: Final = {
    Membership.OWNER: "run it: its people, its events, its orders",
    Membership.CREATOR: "make and publish its events",
    Membership.OPERATOR: "sell at the desk, refund, and let people in at the door",
}
assert WORK.keys() == set(Membership), "every role has its words"


def invitation_page(shown: tuple[Invitation, Team] | None, code: str, *, now: datetime) -> bytes:
    """The page.

    :param shown: the invitation and whose it is; None: the code is good for nothing
    """
    invitation, team = shown or (None, None)
    facts = {
        "organiser": team.name if team else "",
        "role": invitation.role.value if invitation else "",
        "work": WORK[invitation.role] if invitation else "",
        "is_open": invitation is not None and invitation.is_open(now),
        "accepted": invitation is not None and invitation.state is InvitationState.ACCEPTED,
        "until": f"{invitation.expires_at:%d %B %Y, %H:%M} UTC" if invitation else "",
        "code": code,
    }
    return card_template(_PAGE).render(facts).encode()
