"""What is found wrong with a file of event documents, and where."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from local.importer import documents
from local.importer.documents import read
from tests.factories.documents import document
from tests.support.api import type_body

WIDE = "中" * 195


def broken(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A boring document after `change`."""
    found = copy.deepcopy(document())
    change(found)
    return orjson.dumps(found)


def too_large(found: dict[str, Any]) -> None:
    """Each field within its bounds, all together more than a request may have."""
    found["event"].update(
        description="ü" * 10_000,
        pools=[{"name": f"{number}{WIDE}", "capacity": 1} for number in range(20)],
        ticket_types=[type_body(name=WIDE, pool=f"0{WIDE}")] * 50,
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (broken(lambda d: d.update(colour="red")), "colour: unknown field (allowed: only documented fields)"),
        (broken(lambda d: d.pop("venue")), "venue: Field required"),
        (broken(lambda d: d["event"].pop("name")), "event.name: Field required"),
        (
            broken(lambda d: d["event"]["pools"][0].update(capacity=0)),
            "event.pools.0.capacity: Input should be greater",
        ),
        (broken(lambda d: d["event"].update(venue_id="ven_x")), "event.venue_id: unknown field"),
        (broken(lambda d: d["event"].update(ends_at="2100-05-01T18:00:00Z")), "event: ends_at must be after starts_at"),
        (broken(lambda d: d["event"].update(starts_at="soon")), "event.starts_at: Input should be a valid datetime"),
        (broken(lambda d: d["organiser"].update(organiser_id="org_" + "a" * 26)), "organiser: give either"),
        (broken(lambda d: d["organiser"].clear()), "organiser: give either"),
        (broken(lambda d: d.update(external_id="")), "external_id: String should have at least 1"),
        (broken(lambda d: d.update(publish="yes")), "publish: Input should be a valid boolean"),
        (broken(too_large), "event: is "),
        (broken(lambda d: d.update(external_id="zero")), "external_id: “zero” is on line 1 too"),
        (b"[{}]", "not a JSON object"),
        (b'{"external_id": "one"', "not JSON: unexpected end of data, column 22"),
        (b'{"external_id": "\xff"}', "byte 0xff is not UTF-8 (allowed: UTF-8 throughout)"),
        (b'{"external_id": ' + b"[" * 900 + b"]" * 900 + b"}", "cannot be read: Recursion limit reached"),
        (b'{"external_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not JSON: depth limit exceeded"),
        (b'{"external_id": 1e999}', "not JSON: "),
        (b'{"external_id": "\\ud800"}', "not JSON: "),
        (b"NaN", "not JSON: "),
    ],
    ids=lambda value: str(value)[-40:],
)
def test_a_mistake_in_json_lines_is_told_by_line_and_field(tmp_path: Path, line: bytes, told: str) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(orjson.dumps(document("zero")) + b"\n" + line + b"\r\n \n" + orjson.dumps(document("three")))

    reading = read(file)

    assert str(reading.mistakes[0]).startswith(f"line 2: {told}"), reading.mistakes
    assert {mistake.where for mistake in reading.mistakes} == {"line 2"}
    assert [(placed.where, placed.document.external_id) for placed in reading.documents] == [
        ("line 1", "zero"), ("line 4", "three"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "line 1: not JSON"),
        (b"[]", "the file has no documents"),
        (b"1", "document 1: not a JSON object"),
        (b"[1]", "document 1: not a JSON object"),
        (b'[\n{},\n{"external_id": "a"', "line 3: not JSON"),
        (b'[\n\n"\xfc"]', "line 3: byte 0xfc is not UTF-8"),
        (b"\xef\xbb\xbf[{}]", "document 1: external_id: Field required"),
    ],
)
def test_a_mistake_in_json_is_told_by_line_or_by_document(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(content)

    reading = read(file)

    assert reading.documents == []
    assert str(reading.mistakes[0]).startswith(told)


def test_one_document_needs_no_array_and_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(document(publish=True)))

    reading = read(file)

    assert reading.mistakes == []
    assert [placed.document.publish for placed in reading.documents] == [True]


def test_the_same_external_id_of_two_organisers_is_two_events(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_bytes(orjson.dumps([document(), document() | {"organiser": {"name": "Another"}}]))

    assert (len(read(file).documents), read(file).mistakes) == (2, [])


def test_a_file_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(orjson.dumps(document(str(number))) for number in range(4)))
    monkeypatch.setattr(documents, "DOCUMENTS_MAX", 3)

    many = read(file)
    monkeypatch.setattr(documents, "FILE_BYTES_MAX", 100)
    large = read(file)

    assert [str(mistake) for mistake in many.mistakes] == [
        "line 4: there are too many documents (allowed: at most 3 a file)"
    ]
    assert (len(many.documents), large.documents) == (3, [])
    assert [mistake.allowed for mistake in large.mistakes] == ["at most 100; split it"]
