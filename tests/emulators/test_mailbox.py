"""The mailbox: what aiosmtplib sends is what people and tests see, and repeats are counted."""

import asyncio
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiosmtplib
import httpx
import pytest

from tests.emulators.processes import Emulator

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture(autouse=True)
async def _empty(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await web.delete(f"{mailbox.url}/api/messages")
    await web.delete(f"{mailbox.url}/_emulator/faults")


def a_mail(number: int = 1, *, to: str = "uma@tessera.example", subject: str = "Your tickets – Grüße") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "Tessera <tickets@tessera.example>"
    mail["To"] = to
    mail["Subject"] = subject
    mail["Message-ID"] = f"<order-{number}@tessera.example>"
    mail.set_content("Your ticket: T-1\n.leading dot\n")
    mail.add_alternative('<h1>Your ticket</h1><script>alert(1)</script><img alt="QR" src="cid:qr">', subtype="html")
    body = mail.get_body(("html",))
    assert isinstance(body, EmailMessage)
    body.add_related(PIXEL, "image", "png", cid="<qr>")
    mail.add_attachment(b"%PDF-1.7 pretend", maintype="application", subtype="pdf", filename="tickets – Mai.pdf")
    return mail


async def send(mailbox: Emulator, *mails: EmailMessage) -> None:
    port = urlsplit(mailbox.last_word).port
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60) as client:
        for mail in mails:
            await client.send_message(mail)


async def stats(mailbox: Emulator, web: httpx.AsyncClient) -> tuple[int, int, int]:
    found = (await web.get(f"{mailbox.url}/api/stats")).json()
    return found["messages"], found["distinct_message_ids"], found["duplicates"]


async def listed(mailbox: Emulator, web: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await web.get(f"{mailbox.url}/api/messages", params=query)).json()["messages"]
    return found


async def test_a_mail_is_shown_whole_and_harmless(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await send(mailbox, a_mail())

    [summary] = await listed(mailbox, web, to="UMA@tessera.example", subject="grüße")
    mail = (await web.get(f"{mailbox.url}/api/messages/{summary['id']}")).json()
    assert (mail["subject"], mail["from"], mail["to"], mail["copies"]) == (
        "Your tickets – Grüße",
        "tickets@tessera.example",
        ["uma@tessera.example"],
        1,
    )
    assert mail["text"] == "Your ticket: T-1\n.leading dot\n"
    assert 'src="data:image/png;base64,' in mail["html"]
    assert [(part["filename"], part["content_type"]) for part in mail["attachments"]] == [
        ("part-1", "image/png"),
        ("tickets – Mai.pdf", "application/pdf"),
    ]
    attachment = await web.get(mailbox.url + mail["attachments"][1]["url"])
    assert attachment.content == b"%PDF-1.7 pretend"
    assert attachment.headers["content-disposition"].startswith("attachment")

    page = await web.get(f"{mailbox.url}/messages/{summary['id']}")
    assert " sandbox " in page.text
    assert [f'<img src="{part["url"]}"' in page.text for part in mail["attachments"]] == [True, False]
    assert "<script" not in page.text
    html = await web.get(f"{mailbox.url}/messages/{summary['id']}/html")
    assert html.headers["content-security-policy"].startswith("sandbox; default-src 'none'")


async def test_repeats_are_counted_and_marked(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await send(mailbox, a_mail(1), a_mail(2), a_mail(1), a_mail(1))

    assert await stats(mailbox, web) == (4, 2, 2)
    same = await listed(mailbox, web, message_id="<order-1@tessera.example>")
    assert [mail["copies"] for mail in same] == [3, 3, 3]
    assert (await web.get(mailbox.url)).text.count("came 3 times") == 3
    assert "came 3 times" in (await web.get(f"{mailbox.url}/messages/{same[0]['id']}")).text


async def test_lists_are_paged_newest_first(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await send(mailbox, *(a_mail(number) for number in range(5)))

    first = (await web.get(f"{mailbox.url}/api/messages", params={"limit": 3})).json()
    rest = (await web.get(f"{mailbox.url}/api/messages", params={"limit": 3, "before": first["next"]})).json()

    numbers = [mail["message_id"] for mail in first["messages"] + rest["messages"]]
    assert numbers == [f"<order-{number}@tessera.example>" for number in (4, 3, 2, 1, 0)]
    assert rest["next"] is None
    assert (await web.get(f"{mailbox.url}/api/messages", params={"bogus": "1"})).status_code == 400


@pytest.mark.parametrize("code", [451, 550])
async def test_a_rejected_mail_is_not_kept_and_the_next_one_is(
    mailbox: Emulator, web: httpx.AsyncClient, code: int
) -> None:
    await web.post(f"{mailbox.url}/_emulator/faults", json={"kind": "reject", "code": code, "times": 1})

    with pytest.raises(aiosmtplib.SMTPDataError) as refused:
        await send(mailbox, a_mail())
    assert refused.value.code == code
    assert await stats(mailbox, web) == (0, 0, 0)

    await send(mailbox, a_mail())
    assert await stats(mailbox, web) == (1, 1, 0)


async def test_an_accepted_mail_whose_answer_is_lost_comes_twice(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await web.post(f"{mailbox.url}/_emulator/faults", json={"kind": "lost", "times": 1})

    with pytest.raises(aiosmtplib.SMTPServerDisconnected):
        await send(mailbox, a_mail())
    await send(mailbox, a_mail())

    assert await stats(mailbox, web) == (2, 1, 1)


async def test_a_slow_mailbox_is_slow(mailbox: Emulator, web: httpx.AsyncClient) -> None:
    await web.post(f"{mailbox.url}/_emulator/faults", json={"kind": "slow", "times": 1, "seconds": 0.4})
    started = asyncio.get_running_loop().time()

    await send(mailbox, a_mail())

    assert asyncio.get_running_loop().time() - started >= 0.4


async def test_every_mail_answered_250_outlives_a_kill(tmp_path: Path, web: httpx.AsyncClient) -> None:
    with Emulator("mailbox", tmp_path, "--smtp-port", "0") as mailbox:
        answered = 0
        enough = asyncio.Event()

        async def send_until_it_dies() -> None:
            nonlocal answered
            port = urlsplit(mailbox.last_word).port
            async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, timeout=60) as client:
                for number in range(100_000):
                    await client.send_message(a_mail(number))
                    answered += 1
                    if answered == 20:
                        enough.set()

        sending = asyncio.create_task(send_until_it_dies())
        await enough.wait()
        mailbox.kill()
        with pytest.raises((aiosmtplib.SMTPException, OSError)):
            await sending
        mailbox.restart()

        kept = (await stats(mailbox, web))[0]
        assert answered <= kept <= answered + 1
