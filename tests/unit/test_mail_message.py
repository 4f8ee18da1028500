"""A mail as bytes, read back by the standard library: everything arrives as it was meant, and nothing slips in."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.mail.message import AddressImpossible, mailbox, written
from shared.mail.port import Attachment, Mail

NOW = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
PICTURE = bytes(range(256)) * 8
ONE_LINE = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Zs"]) | st.just(" "), max_size=150)


def mail(**changes: Any) -> Mail:
    """A boring mail."""
    boring: dict[str, Any] = {
        "message_id": "confirmation.ord_1", "to_name": "Uma Üser", "to_address": "uma@tessera.example",
        "subject": "Tickets", "text": "Hällo\n.\n--=_alternative\nbye\n", "html": "<p>Hällo =_related</p>\n",
    }  # fmt: skip
    return Mail(**{**boring, **changes})


def sent(one: Mail) -> bytes:
    return written(one, sender=mailbox("Tessera – Tickets", "t@tessera.example"), domain="tessera.example", now=NOW)


def read(one: Mail) -> EmailMessage:
    raw = sent(one)
    assert raw.isascii()
    assert b"\n" not in raw.replace(b"\r\n", b""), "every line ends in CRLF"
    assert max(map(len, raw.split(b"\r\n"))) <= 998, "RFC 5322 section 2.1.1"
    message = message_from_bytes(raw, policy=default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def content(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_everything_in_a_mail_is_read_back_as_it_was_written() -> None:
    shown = Attachment("ticket-1.png", "image/png", PICTURE, "ticket-1@tessera")
    beside = Attachment("terms.pdf", "application/pdf", b"%PDF")

    message = read(mail(attachments=[shown, beside]))

    assert dict(message.items()) == {
        "From": "Tessera – Tickets <t@tessera.example>",
        "To": "Uma Üser <uma@tessera.example>",
        "Subject": "Tickets",
        "Date": "Sat, 21 Nov 2026 13:00:00 +0000",
        "Message-ID": "<confirmation.ord_1@tessera.example>",
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": 'multipart/mixed; boundary="=_mixed"',
    }
    assert content(message, "plain") == "Hällo\n.\n--=_alternative\nbye\n"
    assert content(message, "html") == "<p>Hällo =_related</p>\n"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        "multipart/mixed", "multipart/related", "multipart/alternative", "text/plain", "text/html", "image/png",
        "application/pdf",
    ]  # fmt: skip
    *_, picture, terms = message.walk()
    assert (picture["Content-ID"], picture.get_content_disposition()) == ("<ticket-1@tessera>", "inline")
    assert (picture.get_filename(), picture.get_payload(decode=True)) == ("ticket-1.png", PICTURE)
    assert (terms.get_filename(), terms.get_content_disposition()) == ("terms.pdf", "attachment")
    assert terms.get_payload(decode=True) == b"%PDF"


@given(name=ONE_LINE, subject=ONE_LINE)
def test_any_name_and_subject_arrive(name: str, subject: str) -> None:
    message = read(mail(to_name=name, subject=subject))

    [address] = message["To"].addresses
    assert isinstance(address, Address)
    assert address.addr_spec == "uma@tessera.example"
    # Blanks aside: the standard library reads one between two encoded words of a name, where RFC 2047 has none.
    assert "".join(address.display_name.split()) == "".join(name.split())
    assert " ".join(str(message["Subject"]).split()) == " ".join(subject.split())


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), max_size=300))
def test_any_text_arrives(text: str) -> None:
    assert content(read(mail(text=text, html=text)), "html").rstrip("\n") == text.rstrip("\n")


@pytest.mark.parametrize("name", ["Uma\r\nBcc: all@tessera.example", "Uma\nBcc: all@tessera.example", 'U" <x@y.z>, "'])
def test_a_name_adds_neither_a_header_nor_a_recipient(name: str) -> None:
    message = read(mail(to_name=name, subject=name))

    assert "Bcc" not in message
    assert [address.addr_spec for address in message["To"].addresses] == ["uma@tessera.example"]


@pytest.mark.parametrize(
    "address",
    ["", "uma", "@x.example", "uma@", "a@b.example, c@d.example", "a b@c.example", "a@b.example\r\nBcc: c@d.example",
     "<a@b.example>", '"a"@b.example', "ü@b.example", "a@bü.example", "a@b@c.example", "a@b.example\n"],
)  # fmt: skip
def test_an_address_that_is_not_one_plain_mailbox_is_refused(address: str) -> None:
    with pytest.raises(AddressImpossible):
        sent(mail(to_address=address))
