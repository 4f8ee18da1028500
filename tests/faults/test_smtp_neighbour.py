"""The mail server fails in every way: what it certainly has not got is sent once, what it may have is sent again."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from shared.mail.port import Mail, MailUnavailable
from shared.mail.smtp import SmtpMailer
from tests.emulators.processes import Emulator
from tests.support.fault_proxy import Fault, FaultProxy, proxied

pytestmark = pytest.mark.xdist_group("smtp-neighbour")  # one double for all

# How long a mail may take in all, where the server falls silent: at once, or once it has the whole of it. Who takes the
# mail has the usual time, since the machine may be busy.
SILENT_SECONDS = {Fault.SILENT: 0.5, Fault.LOST: 2.0}
PATIENCE_SECONDS = 120.0  # only a hang takes so long
CONTENT_WANTED = b"354"  # the server's answer to DATA; what follows the content is its acceptance


@pytest.fixture(scope="module")
def mailbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator("mailbox", tmp_path_factory.mktemp("mailbox"), "--smtp-port", "0") as running:
        yield running


@asynccontextmanager
async def mailer_through(mailbox: Emulator) -> AsyncIterator[tuple[SmtpMailer, FaultProxy]]:
    async with proxied(int(mailbox.last_word.rpartition(":")[2])) as proxy:
        mailer = SmtpMailer(
            host="127.0.0.1", port=proxy.port, username="", password="", starttls=False,
            sender="Tessera <tickets@tessera.example>",
        )  # fmt: skip
        yield mailer, proxy
        await mailer.close()


async def not_heard_of(mailer: SmtpMailer, sent: Mail, fault: Fault, patch: pytest.MonkeyPatch) -> MailUnavailable:
    """How the mailer refuses a mail whose server has a fault."""
    with patch.context() as meanwhile:
        if fault in SILENT_SECONDS:
            meanwhile.setattr("shared.mail.smtp.SEND_SECONDS_MAX", SILENT_SECONDS[fault])
        with pytest.raises(MailUnavailable) as unavailable:
            await mailer.send(sent)
    return unavailable.value


def mail() -> Mail:
    return Mail(
        f"confirmation.{uuid.uuid4().hex}", "Uma", "uma@tessera.example", "Tickets", "Your tickets.", "<p>Your.</p>"
    )


async def copies(mailbox: Emulator, sent: Mail) -> int:
    async with httpx.AsyncClient() as http:
        wanted = {"message_id": f"<{sent.message_id}@tessera.example>"}
        return len((await http.get(f"{mailbox.url}/api/messages", params=wanted)).json()["messages"])


@pytest.mark.parametrize("fault", [Fault.DOWN, Fault.SILENT, Fault.RESET, Fault.GARBAGE])
async def test_a_mail_whose_server_fails_before_the_content_arrives_once_when_sent_again(
    mailbox: Emulator, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sent = mail()
    async with asyncio.timeout(PATIENCE_SECONDS), mailer_through(mailbox) as (mailer, proxy):
        await proxy.set(fault)
        await not_heard_of(mailer, sent, fault, monkeypatch)
        before = await copies(mailbox, sent)
        await proxy.set(Fault.NONE)
        await mailer.send(sent)

    assert (before, await copies(mailbox, sent)) == (0, 1)


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.RESET])
async def test_a_mail_taken_without_our_knowing_is_said_to_be_possibly_taken(
    mailbox: Emulator, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    sent = mail()
    async with asyncio.timeout(PATIENCE_SECONDS), mailer_through(mailbox) as (mailer, proxy):
        proxy.after = CONTENT_WANTED
        await proxy.set(fault)
        unavailable = await not_heard_of(mailer, sent, fault, monkeypatch)

    assert await copies(mailbox, sent) == 1
    assert not unavailable.not_taken
