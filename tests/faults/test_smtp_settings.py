"""What a mail server says to our greeting, credentials or sender is about settings: no mail is given up for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from shared.mail.port import Mail, MailRefused, MailUnavailable
from shared.mail.smtp import SmtpMailer

MAIL = Mail("confirmation.x", "Uma", "uma@tessera.example", "Tickets", "text", "<p>text</p>")


@asynccontextmanager
async def server(refuses: str, answer: bytes) -> AsyncIterator[int]:
    """A mail server that answers `refuses` (a command) with `answer`, and everything else with yes."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word = line.upper().split()[0]
            if word == "DATA" and refuses != "DATA":
                writer.write(b"354 go on\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 taken\r\n")
            else:
                said = b"221 bye" if word == "QUIT" else b"250 yes"
                writer.write((answer if word == refuses else said) + b"\r\n")
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


def mailer(port: int) -> SmtpMailer:
    return SmtpMailer(
        host="127.0.0.1", port=port, username="", password="", starttls=False, sender="T <t@tessera.example>"
    )


@pytest.mark.parametrize(("command", "answer"), [("MAIL", b"530 sign in first"), ("MAIL", b"553 not as this sender")])
async def test_a_server_that_lets_none_of_our_mails_in_is_waited_for(command: str, answer: bytes) -> None:
    async with server(command, answer) as port:
        with pytest.raises(MailUnavailable) as unavailable:
            await mailer(port).send(MAIL)
    assert unavailable.value.not_taken


@pytest.mark.parametrize("command", ["RCPT", "DATA"])
async def test_a_mail_refused_for_itself_is_refused_for_good(command: str) -> None:
    async with server(command, b"550 no such mailbox") as port:
        with pytest.raises(MailRefused):
            await mailer(port).send(MAIL)
