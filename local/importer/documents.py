"""Event documents in a file: JSON (one, or an array) or JSON Lines, each checked whole before anything is sent.

They are checked by the models of the API itself, so what passes here is not refused there for its fields.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Self

import orjson
from pydantic import Field, ValidationError, model_validator

from functions.catalog.wire import NewVenue, PlannedEvent
from shared.web.endpoint import BODY_BYTES_MAX, Wire
from shared.web.fields import Id, Name
from shared.web.problem import RequestRefused

FILE_BYTES_MAX: Final = 64 * 1024 * 1024
DOCUMENTS_MAX: Final = 10_000
IDS_BYTES: Final = 200  # what the request that creates the event has beside the document's own `event`
_LINES: Final = frozenset({".jsonl", ".ndjson"})
_BOM: Final = b"\xef\xbb\xbf"


class ImportedOrganiser(Wire):
    """Whose event it is: an organiser there is, or one to create under this name."""

    organiser_id: Id | None = None
    name: Name | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.organiser_id is None) == (self.name is None):
            raise ValueError("give either organiser_id or name")
        return self


class EventDocument(Wire):
    """An event as it is imported.

    :param external_id: what the event is called where it comes from; the same organiser and id are the same event
    """

    external_id: Annotated[str, Field(min_length=1, max_length=200)]
    organiser: ImportedOrganiser
    venue: NewVenue
    event: PlannedEvent
    publish: bool = Field(default=False, strict=True)


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with a document.

    :param where: `line 3` in JSON Lines, `document 3` in JSON, or nothing for the whole file
    :param field: dotted, e.g. `event.pools.0.capacity`; empty where it is no single field
    """

    where: str
    field: str
    reason: str
    allowed: str = ""

    def __str__(self) -> str:
        allowed = f" (allowed: {self.allowed})" if self.allowed else ""
        return ": ".join(part for part in (self.where, self.field, self.reason) if part) + allowed


@dataclass(frozen=True, slots=True)
class Placed:
    """A document and where it stands in its file."""

    where: str
    document: EventDocument


@dataclass(slots=True)
class Reading:
    """What a file holds."""

    documents: list[Placed] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)


def read(path: Path) -> Reading:
    """The documents of a file, and everything that is wrong with it.

    :raises OSError: the file cannot be read
    """
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        return Reading(mistakes=[Mistake("", "", f"the file has {size} bytes", f"at most {FILE_BYTES_MAX}; split it")])
    data = path.read_bytes().removeprefix(_BOM)
    return _checked(_lines(data) if path.suffix.lower() in _LINES else _whole(data))


def _checked(parts: Iterable[tuple[str, object]]) -> Reading:
    reading, seen = Reading(), dict[tuple[str, str], str]()
    for number, (where, value) in enumerate(parts):
        if number == DOCUMENTS_MAX:
            reading.mistakes.append(
                Mistake(where, "", "there are too many documents", f"at most {DOCUMENTS_MAX} a file")
            )
            break
        found = value if isinstance(value, Mistake) else _document(where, value)
        if isinstance(found, EventDocument):
            owner = found.organiser.organiser_id or f"name {found.organiser.name}"
            first = seen.setdefault((owner, found.external_id), where)
            if first == where:
                reading.documents.append(Placed(where, found))
                continue
            found = Mistake(
                where, "external_id", f"“{found.external_id}” is on {first} too", "each once for an organiser"
            )
        reading.mistakes += found if isinstance(found, list) else [found]
    if not reading.documents and not reading.mistakes:
        reading.mistakes.append(Mistake("", "", "the file has no documents"))
    return reading


def _lines(data: bytes) -> Iterator[tuple[str, object]]:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.strip():
            where = f"line {number}"
            yield where, _parsed(line.rstrip(), where, first_line=None)


def _whole(data: bytes) -> Iterator[tuple[str, object]]:
    value = _parsed(data, "", first_line=1)
    if not isinstance(value, list):
        yield "document 1" if not isinstance(value, Mistake) else "", value
        return
    for number, each in enumerate(value, 1):
        yield f"document {number}", each


def _parsed(data: bytes, where: str, *, first_line: int | None) -> Any:
    """JSON, or the mistake in it.

    :param first_line: the number of the data's first line, if a mistake's own line is to be told
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            data.decode()
        except UnicodeDecodeError as wrong:
            line = data.count(b"\n", 0, wrong.start) + first_line if first_line else None
            place = where or f"line {line}"
            return Mistake(place, "", f"byte 0x{data[wrong.start]:02x} is not UTF-8", "UTF-8 throughout")
        place = where or f"line {error.lineno}"
        return Mistake(place, "", f"not JSON: {error.msg}, column {error.colno}")


def _document(where: str, value: object) -> EventDocument | list[Mistake]:
    if not isinstance(value, dict):
        return [Mistake(where, "", "not a JSON object", "an event document, see docs/importing.md")]
    try:
        document = EventDocument.model_validate_json(orjson.dumps(value))
    except orjson.JSONEncodeError as error:
        return [Mistake(where, "", f"cannot be read: {error}", "objects and arrays nested a few levels deep")]
    except ValidationError as error:
        told = RequestRefused.of(error, part="document").facts["errors"]
        assert isinstance(told, list), "what `of` puts there"
        return [Mistake(where, **each) for each in told if isinstance(each, dict)]
    size = len(document.event.model_dump_json().encode()) + IDS_BYTES
    if size > BODY_BYTES_MAX:
        return [Mistake(where, "event", f"is {size} bytes as a request", f"at most {BODY_BYTES_MAX}")]
    return document
