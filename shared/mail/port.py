"""What sending mail must do for us."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.kernel.errors import DependencyUnavailable


class MailUnavailable(DependencyUnavailable):
    """The mail server does not answer, or says later.

    :param not_taken: it certainly has not got the mail; otherwise it may
    """

    def __init__(self, detail: str, *, not_taken: bool) -> None:
        super().__init__(detail)
        self.not_taken = not_taken


class MailRefused(Exception):
    """The mail server will never take this mail (5xx), e.g. for a mailbox that does not exist."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail.

    :param name: printable ASCII without quotes
    :param content_id: what the HTML calls it by (`cid:…`), for a picture it shows; printable ASCII, empty for none
    """

    name: str
    media_type: str
    data: bytes
    content_id: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail.

    :param message_id: local part of the Message-ID; the same mail always has the same, so that a second copy is
        recognisable as one
    """

    message_id: str
    to_name: str
    to_address: str
    subject: str
    text: str
    html: str
    attachments: Sequence[Attachment] = ()


class Mailer(Protocol):
    """Sends mail."""

    async def send(self, mail: Mail) -> None:
        """Hand the mail to the server.

        :raises MailUnavailable: no answer, or try later (4xx)
        :raises MailRefused: never (5xx)
        """
        ...
