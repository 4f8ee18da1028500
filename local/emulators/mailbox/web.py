"""The web side: pages for people, JSON for tests."""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from local.emulators.mailbox.reading import Reading
from local.emulators.mailbox.smtp import Receiving, SmtpFault
from local.emulators.mailbox.store import Mails, Wanted
from local.emulators.replies import Control, Json, Pages, json_reply, read_control

_PAGE = 50
_SHOWABLE = {"image/png", "image/jpeg", "image/gif", "image/webp"}
# A mail is somebody else's HTML: no scripts, no forms, nothing fetched from anywhere.
_HTML_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


class _Query(Control):
    to: str | None = None
    subject: str | None = None
    message_id: str | None = None
    limit: int = Field(default=100, ge=1, le=1000)
    before: int | None = None


class Web:
    """Everything the HTTP port answers."""

    def __init__(self, mails: Mails, receiving: Receiving) -> None:
        self._mails = mails
        self._receiving = receiving
        self._pages = Pages(Path(__file__).parent / "templates")
        self._pages.environment.filters["moment"] = moment

    def routes(self) -> list[Route | Mount]:
        """Pages, JSON and controls."""
        return [
            Route("/", self.index),
            Route("/messages/{id:int}", self.message),
            Route("/messages/{id:int}/html", self.html),
            Route("/messages/{id:int}/raw", self.raw),
            Route("/messages/{id:int}/parts/{index:int}", self.part),
            Route("/api/messages", self.list_messages, methods=["GET", "DELETE"]),
            Route("/api/messages/{id:int}", self.get_message),
            Route("/api/stats", self.stats),
            Mount("/_emulator", routes=[Route("/faults", self.faults, methods=["GET", "POST", "DELETE"])]),
        ]

    async def index(self, request: Request) -> Response:
        """The list of messages."""
        sent = {name: request.query_params.get(name, "").strip() for name in ("to", "subject", "message_id")}
        filters = {name: value for name, value in sent.items() if value}
        before = request.query_params.get("before", "")
        messages, following = self._mails.page(
            Wanted(**filters), limit=_PAGE, before=int(before) if before.isdecimal() else None
        )
        older = None if following is None else "/?" + urlencode(filters | {"before": str(following)})
        return self._pages.show("list.html", messages=messages, older=older, sent=sent, stats=self._mails.stats())

    async def message(self, request: Request) -> Response:
        """One message."""
        summary, reading = self._find(request)
        copies = [] if summary["message_id"] is None else self._mails.copies(summary["message_id"])
        return self._pages.show(
            "message.html", message=summary, reading=reading, copies=copies, parts=_described(summary["id"], reading)
        )

    async def html(self, request: Request) -> Response:
        """The HTML part alone, harmless; it is shown in a sandboxed frame."""
        _, reading = self._find(request)
        if reading.html is None:
            raise HTTPException(404, "the message has no HTML part")
        return Response(
            reading.html, media_type="text/html", headers={"Content-Security-Policy": _HTML_POLICY, **_NO_SNIFFING}
        )

    async def raw(self, request: Request) -> Response:
        """The message as it came."""
        found = self._mails.find(request.path_params["id"])
        if found is None:
            raise HTTPException(404, "no such message")
        return Response(found[1], media_type="text/plain", headers=_NO_SNIFFING)

    async def part(self, request: Request) -> Response:
        """An attachment, to be saved."""
        _, reading = self._find(request)
        index = request.path_params["index"]
        if index >= len(reading.parts):
            raise HTTPException(404, "no such part")
        part = reading.parts[index]
        kind = part.content_type if part.content_type in _SHOWABLE else "application/octet-stream"
        disposition = f"attachment; filename*=UTF-8''{quote(part.filename, safe='')}"
        return Response(part.content, media_type=kind, headers={"Content-Disposition": disposition, **_NO_SNIFFING})

    async def list_messages(self, request: Request) -> Response:
        """Messages by recipient, part of the subject, or Message-ID; DELETE forgets all."""
        if request.method == "DELETE":
            return json_reply({"deleted": self._mails.forget_all()})
        try:
            query = _Query.model_validate(dict(request.query_params))
        except ValueError as error:
            raise HTTPException(400, str(error)) from None
        wanted = Wanted(to=query.to, subject=query.subject, message_id=query.message_id)
        messages, following = self._mails.page(wanted, limit=query.limit, before=query.before)
        return json_reply({"messages": messages, "next": following})

    async def get_message(self, request: Request) -> Response:
        """One message with its headers, texts and attachments."""
        summary, reading = self._find(request)
        return json_reply(
            summary
            | {
                "headers": reading.headers,
                "text": reading.text,
                "html": reading.html,
                "attachments": _described(summary["id"], reading),
            }
        )

    async def stats(self, _: Request) -> Response:
        """How many messages, Message-IDs and repeats."""
        return json_reply(self._mails.stats())

    async def faults(self, request: Request) -> Response:
        """Add a rule for failures of the SMTP side, or clear them all."""
        if request.method == "POST":
            self._receiving.add(await read_control(request, SmtpFault))
        elif request.method == "DELETE":
            self._receiving.clear()
        return json_reply({"hits": self._receiving.hits})

    def _find(self, request: Request) -> tuple[Json, Reading]:
        found = self._mails.find(request.path_params["id"])
        if found is None:
            raise HTTPException(404, "no such message")
        return found[0], Reading(found[1])


_NO_SNIFFING = {"X-Content-Type-Options": "nosniff"}


def _described(message: int, reading: Reading) -> list[Json]:
    return [
        {
            "filename": part.filename,
            "content_type": part.content_type,
            "content_id": part.content_id,
            "size": len(part.content),
            "showable": part.content_type in _SHOWABLE,
            "url": f"/messages/{message}/parts/{part.index}",
        }
        for part in reading.parts
    ]


def moment(seconds: float) -> str:
    """A Unix time as people read it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
