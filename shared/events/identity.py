"""What identity tells: somebody was invited, and is to be told by mail."""

from shared.events.envelope import Event


class MemberInvited(Event):
    """Somebody was invited to work for an organiser.

    :param number: of the mail; an older one is not sent any more
    """

    invitation_id: str
    number: int
