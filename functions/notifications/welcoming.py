"""Mailing people that an account was made for them."""

from datetime import datetime

from functions.identity.profiles import Profiles
from functions.notifications.posting import Post
from functions.notifications.writing import write_welcome
from shared.events.identity import PersonInvited
from shared.mail.port import Mail


class WelcomeMails:
    """Mails whoever was given an account, and is still to be told.

    :param site: where people sign in
    """

    def __init__(self, profiles: Profiles, post: Post, site: str) -> None:
        self._profiles = profiles
        self._post = post
        self._site = site

    async def mail(self, told: PersonInvited, *, correlation_id: str, now: datetime) -> None:
        """Mail that there is an account, unless a newer mail says so or its person is gone; again sends nothing.

        :raises MailUnavailable: the mail server is away; later
        :raises MailInHand: another delivery is at it; later, in case it dies
        """
        profile = await self._profiles.to_welcome(told)
        if profile is None:
            return
        message_id = f"welcome.{told.id}"

        async def written() -> Mail:
            return write_welcome(
                message_id, name=profile.name, email=profile.email, site=self._site, correlation_id=correlation_id
            )

        await self._post.send_once(message_id, told.organiser_id, written, now)
