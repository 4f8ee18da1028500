"""Mail over SMTP, by aiosmtplib; the message itself is the standard library's work."""

import asyncio
from email.message import EmailMessage
from email.utils import formataddr, parseaddr
from typing import Final

from shared.kernel.clock import utc_now
from shared.mail.port import Mail, MailRefused, MailUnavailable

COMMAND_SECONDS_MAX: Final = 15.0
SEND_SECONDS_MAX: Final = 30.0  # well below the claim on the mail (functions/notifications/outbound.py)


class SmtpMailer:
    """A mail server.

    :param sender: `Name <address>`; its domain is the Message-ID's
    """

    def __init__(self, *, host: str, port: int, username: str, password: str, starttls: bool, sender: str) -> None:
        self._host = host
        self._port = port
        self._username = username or None
        self._password = password or None
        self._starttls = starttls
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        """See `Mailer.send`."""
        import aiosmtplib

        try:
            message = self._message(mail)
        except ValueError as error:  # an address no header can carry
            raise MailRefused(f"The mail cannot be written: {error}") from error
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await aiosmtplib.send(
                    message,
                    hostname=self._host,
                    port=self._port,
                    username=self._username,
                    password=self._password,
                    start_tls=self._starttls,
                    timeout=COMMAND_SECONDS_MAX,
                )
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients[0].code, str(error)) from error
        except aiosmtplib.SMTPDataError as error:
            raise _refusal(error.code, str(error)) from error
        except (aiosmtplib.SMTPResponseException, aiosmtplib.SMTPConnectError) as error:
            # Whatever a server says to our greeting, credentials or sender, it says to all mails: a matter of settings.
            raise MailUnavailable(f"The mail server does not let us in: {error}", not_taken=True) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailUnavailable("The mail server does not answer.", not_taken=False) from error

    def _message(self, mail: Mail) -> EmailMessage:
        domain = parseaddr(self._sender)[1].partition("@")[2]
        message = EmailMessage()
        message["From"] = self._sender
        message["To"] = formataddr((_one_line(mail.to_name), mail.to_address))
        message["Subject"] = _one_line(mail.subject)
        message["Date"] = utc_now()
        message["Message-ID"] = f"<{mail.message_id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        for attachment in mail.attachments:
            kind, _, subtype = attachment.media_type.partition("/")
            message.add_attachment(attachment.data, maintype=kind, subtype=subtype, filename=attachment.name)
        return message


def _one_line(text: str) -> str:
    """Names come from sign-in services too, so nothing keeps line breaks out of them; a header cannot have any."""
    return " ".join(text.replace("\0", " ").split())


def _refusal(code: int, detail: str) -> Exception:
    if 500 <= code < 600:
        return MailRefused(f"{code}: {detail}")
    return MailUnavailable(f"The mail server says later: {code}.", not_taken=True)
