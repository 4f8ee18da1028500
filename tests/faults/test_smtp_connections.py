"""SMTP connections are kept for the next mail; whatever dies on them, no mail is lost, doubled or wrongly given up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from shared.mail import connections
from shared.mail.port import Mail, MailRefused, MailUnavailable
from shared.mail.smtp import SmtpMailer


@dataclass
class Server:
    """A mail server that says yes, but for what it is told.

    :param answers: what to do with a command instead of saying yes, consumed one by one: a reply, or `cut`; by command,
        `.` being the end of the content
    """

    port: int = 0
    opened: int = 0
    open: int = 0
    most: int = 0
    pause: float = 0.0
    mails: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    talking: list[asyncio.StreamWriter] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        self.open += 1
        self.most = max(self.most, self.open)
        self.talking.append(writer)
        try:
            writer.write(b"220 here\r\n")
            while line := (await reader.readline()).decode().strip():
                word = line.upper().split()[0]
                self.words.append(word)
                if not await self._answer(word, writer):
                    return
                if word == "DATA":
                    content = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    await asyncio.sleep(self.pause)
                    self.mails.append(content)
                    if not await self._answer(".", writer):
                        return
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, word: str, writer: asyncio.StreamWriter) -> bool:
        told = self.answers.get(word, [])
        answer = told.pop(0) if told else {"DATA": "354 go on", "QUIT": "221 bye"}.get(word, "250 yes")
        if answer == "cut":
            return False
        writer.write(answer.encode() + b"\r\n")
        await writer.drain()
        return word != "QUIT" and not answer.startswith("421")

    def hang_up(self) -> None:
        """Close every connection there is."""
        for writer in self.talking:
            writer.close()


@asynccontextmanager
async def started() -> AsyncIterator[tuple[Server, SmtpMailer]]:
    server = Server()
    listening = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    mailer = SmtpMailer(
        host="127.0.0.1", port=server.port, username="", password="", starttls=False, sender="T <t@tessera.example>"
    )
    try:
        yield server, mailer
    finally:
        await mailer.close()
        listening.close()
        server.hang_up()
        await asyncio.sleep(0)


def mail(number: int = 1) -> Mail:
    return Mail(f"confirmation.{number}", "Uma", "uma@tessera.example", f"Mail {number}", "text", "<p>text</p>")


def subjects(server: Server) -> list[str]:
    return [line for content in server.mails for line in content.split("\r\n") if line.startswith("Subject: ")]


async def test_mails_after_each_other_share_a_connection() -> None:
    async with started() as (server, mailer):
        for number in range(5):
            await mailer.send(mail(number))

        assert server.opened == 1
        assert subjects(server) == [f"Subject: Mail {number}" for number in range(5)]


async def test_a_connection_carries_a_bounded_number_of_mails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MAILS_MAX", 3)
    async with started() as (server, mailer):
        for number in range(7):
            await mailer.send(mail(number))

        assert (server.opened, len(server.mails), server.words.count("QUIT")) == (3, 7, 2)


async def test_many_mails_at_once_use_a_bounded_number_of_connections() -> None:
    async with started() as (server, mailer):
        server.pause = 0.02
        await asyncio.gather(*(mailer.send(mail(number)) for number in range(30)))

        assert server.most == connections.CONNECTIONS_MAX
        assert sorted(subjects(server)) == sorted(f"Subject: Mail {number}" for number in range(30))


async def test_an_idle_connection_is_left_politely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS_MAX", 0.02)
    async with started() as (server, mailer):
        await mailer.send(mail())
        async with asyncio.timeout(5):
            while server.open:  # noqa: ASYNC110 - the server's own task makes it false
                await asyncio.sleep(0.01)

        assert server.words[-1] == "QUIT"
        await mailer.send(mail(2))
        assert (server.opened, len(server.mails)) == (2, 2)


async def test_a_connection_closed_by_the_server_in_the_meantime_is_replaced() -> None:
    async with started() as (server, mailer):
        await mailer.send(mail(1))
        server.hang_up()
        await asyncio.sleep(0.05)

        await mailer.send(mail(2))

        assert (server.opened, subjects(server)) == (2, ["Subject: Mail 1", "Subject: Mail 2"])


@pytest.mark.parametrize("command", ["MAIL", "RCPT"])
@pytest.mark.parametrize("answer", ["cut", "421 idle for too long"])
async def test_a_kept_connection_found_dead_before_the_content_is_replaced_at_once(command: str, answer: str) -> None:
    async with started() as (server, mailer):
        await mailer.send(mail(1))
        server.answers[command] = [answer]

        if (command, answer) == ("RCPT", "421 idle for too long"):  # said of this recipient: later
            with pytest.raises(MailUnavailable) as unavailable:
                await mailer.send(mail(2))
            assert unavailable.value.not_taken
        await mailer.send(mail(2))

        assert (server.opened, subjects(server)) == (2, ["Subject: Mail 1", "Subject: Mail 2"])


async def test_one_dead_connection_makes_the_others_be_left_alone() -> None:
    async with started() as (server, mailer):
        server.pause = 0.05
        await asyncio.gather(*(mailer.send(mail(number)) for number in range(4)))
        server.pause = 0.0
        server.answers["MAIL"] = ["cut", "cut"]

        with pytest.raises(MailUnavailable) as unavailable:
            await mailer.send(mail(5))  # the kept one is cut, then the fresh one

        assert unavailable.value.not_taken
        assert (server.opened, len(server.mails)) == (5, 4)
        await mailer.send(mail(6))
        assert server.opened == 6


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("answer", ["cut", "what is this", "99999 no code"])
async def test_what_dies_with_the_content_under_way_may_be_taken_and_is_not_sent_again(kept: bool, answer: str) -> None:
    async with started() as (server, mailer):
        if kept:
            await mailer.send(mail(1))
        server.answers["."] = [answer]

        with pytest.raises(MailUnavailable) as unavailable:
            await mailer.send(mail(2))

        assert not unavailable.value.not_taken
        assert (server.opened, subjects(server)[-1], len(server.mails)) == (1, "Subject: Mail 2", 1 + kept)


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
async def test_what_dies_before_the_content_is_certainly_not_taken(command: str) -> None:
    async with started() as (server, mailer):
        server.answers = {command: ["cut"], "HELO": ["cut"]}

        with pytest.raises(MailUnavailable) as unavailable:
            await mailer.send(mail())

        assert unavailable.value.not_taken
        assert server.mails == []


async def test_nobody_listening_has_certainly_taken_nothing() -> None:
    async with started() as (server, mailer):
        port = server.port
    away = SmtpMailer(
        host="127.0.0.1", port=port, username="", password="", starttls=False, sender="T <t@tessera.example>"
    )

    with pytest.raises(MailUnavailable) as unavailable:
        await away.send(mail())

    assert unavailable.value.not_taken
    await mailer.close()


@pytest.mark.parametrize("command", ["RCPT", "DATA", "."])
async def test_a_mail_refused_on_a_kept_connection_is_refused_and_the_next_one_is_sent(command: str) -> None:
    async with started() as (server, mailer):
        await mailer.send(mail(1))
        server.answers[command] = ["550 no such mailbox"]

        with pytest.raises(MailRefused):
            await mailer.send(mail(2))
        before = len(server.mails)
        await mailer.send(mail(3))

        assert subjects(server)[before:] == ["Subject: Mail 3"]
        async with asyncio.timeout(5):
            while server.open > 1:  # noqa: ASYNC110 - the server's own task makes it false
                await asyncio.sleep(0.01)
