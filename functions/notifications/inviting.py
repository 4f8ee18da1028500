"""Mailing invitations: whoever is invited gets a link with a code that is written nowhere else."""

from datetime import datetime
from urllib.parse import quote

from functions.identity.inviting import Inviting
from functions.notifications.posting import Post
from functions.notifications.writing import write_invitation
from shared.events.identity import MemberInvited
from shared.mail.port import Mail


class InvitationMails:
    """Mails invitations that are still good.

    :param site: the address of our API, e.g. `https://tickets.example.org/api`
    """

    def __init__(self, inviting: Inviting, post: Post, site: str) -> None:
        self._inviting = inviting
        self._post = post
        self._site = site

    async def mail(self, told: MemberInvited, *, correlation_id: str, now: datetime) -> None:
        """Mail an invitation, unless it was used, withdrawn or mailed anew meanwhile; again sends nothing.

        :raises MailUnavailable: the mail server is away; later
        :raises MailInHand: another delivery is at it; later, in case it dies
        """
        mailed = await self._inviting.to_mail(told, now=now)
        if mailed is None:
            return
        message_id = f"invitation.{told.invitation_id}.{told.nonce}"

        async def written() -> Mail:
            link = f"{self._site}/invitations/shown?code={quote(mailed.code)}"
            return write_invitation(message_id, mailed, link=link, correlation_id=correlation_id)

        await self._post.send_once(message_id, told.organiser_id, written, now)
