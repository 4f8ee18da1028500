"""A message taken apart for people: headers, text, HTML with its inline images, attachments."""

import base64
import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from functools import cached_property

_CID = re.compile(r"""(["'(])cid:([^"')\s]+)""", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """A leaf of the message that is not its text or HTML."""

    index: int
    filename: str
    content_type: str
    content_id: str | None
    content: bytes


class Reading:
    """One message, parsed."""

    def __init__(self, raw: bytes) -> None:
        message = message_from_bytes(raw, policy=default)
        assert isinstance(message, EmailMessage)
        self._message = message

    @cached_property
    def headers(self) -> list[tuple[str, str]]:
        """Every header in order, decoded."""
        return [(name, str(value)) for name, value in self._message.items()]

    @cached_property
    def text(self) -> str | None:
        """The plain text, if there is any."""
        return self._body("plain")

    @cached_property
    def html(self) -> str | None:
        """The HTML with inline images put in as data, so that it needs nothing from outside."""
        html = self._body("html")
        if html is None:
            return None
        images = {part.content_id: part for part in self.parts if part.content_id is not None}

        def inlined(match: re.Match[str]) -> str:
            part = images.get(match[2])
            if part is None:
                return match[0]
            return f"{match[1]}data:{part.content_type};base64,{base64.b64encode(part.content).decode()}"

        return _CID.sub(inlined, html)

    @cached_property
    def parts(self) -> list[Part]:
        """Attachments and inline images, in order."""
        bodies = {id(body) for kind in ("plain", "html") if (body := self._message.get_body((kind,))) is not None}
        leaves = [part for part in self._message.walk() if not part.is_multipart() and id(part) not in bodies]
        found = []
        for index, leaf in enumerate(leaves):
            content = leaf.get_payload(decode=True)
            identity = str(leaf.get("Content-ID") or "").strip().strip("<>") or None
            found.append(
                Part(
                    index=index,
                    filename=leaf.get_filename() or f"part-{index + 1}",
                    content_type=leaf.get_content_type(),
                    content_id=identity,
                    content=content if isinstance(content, bytes) else b"",
                )
            )
        return found

    def _body(self, kind: str) -> str | None:
        part = self._message.get_body((kind,))
        if part is None:
            return None
        try:
            # Lines end in CRLF on the wire; readers want what was written.
            return str(part.get_content()).replace("\r\n", "\n")
        except (LookupError, UnicodeDecodeError):
            payload = part.get_payload(decode=True)
            return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else None
