"""A mail server in memory."""

from dataclasses import dataclass, field

from shared.mail.port import Mail


@dataclass
class Mailbox:
    """Takes every mail."""

    mails: list[Mail] = field(default_factory=list)

    async def send(self, mail: Mail) -> None:
        """See `Mailer.send`."""
        self.mails.append(mail)
