"""The runbook: what it tells to ask, to run and to read is there."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.infra.test_queries import pipelines, queries
from tests.infra.vocabulary import ROOT
from tools.delivery.__main__ import app
from tools.delivery.vault import SECRETS

DOCS: Final = ROOT / "docs"
RUNBOOK: Final = (DOCS / "runbook.md").read_text()
ASKED: Final = re.compile(r"(?:`|^)ask ([a-z-]+)", re.MULTILINE)


def slugs(text: str) -> set[str]:
    """The anchors of a page, as GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def dead_links(text: str) -> Iterator[str]:
    """Links to pages and headings that are not there."""
    for page, anchor in re.findall(r"\]\(([\w./-]*)#?([\w-]*)\)", text):
        path: Path = DOCS / page
        if page and not path.exists():
            yield page
        elif anchor and anchor not in slugs(path.read_text() if page else text):
            yield f"{page}#{anchor}"


def unknown_queries(text: str) -> Iterator[str]:
    """What it tells to ask, and is no query."""
    yield from (name for name in ASKED.findall(text) if name not in queries())


def unknown_commands(text: str) -> Iterator[str]:
    """Commands of ours that are not there."""
    commands = {str(each.name or each.callback.__name__) for each in app.registered_commands if each.callback}
    yield from (name for name in re.findall(r"python -m tools\.delivery ([a-z-]+)", text) if name not in commands)
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    yield from (f"make {name}" for name in re.findall(r"`make ([a-z-]+)", text) if name not in targets)


def cells(text: str, heading: str) -> Mapping[str, str]:
    """The first two cells of each row of the table below a heading."""
    part = text.partition(f"\n{heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (`.+?) \| (.+?) \|", part, re.MULTILINE)
    return dict(rows)


def test_what_it_refers_to_is_there() -> None:
    assert list(dead_links(RUNBOOK)) == []
    assert list(unknown_queries(RUNBOOK)) == []
    assert list(unknown_commands(RUNBOOK)) == []
    assert len(ASKED.findall(RUNBOOK)) > 30


def test_each_thing_that_needs_a_person_has_a_row() -> None:
    told = {word for names in cells(RUNBOOK, "### needs-a-person") for word in re.findall(r"`(\w+)`", names)}
    asked = {word for each in pipelines(queries()["needs-a-person"]) for _, word in each.compared}
    assert told == asked


def test_each_secret_has_a_row_and_is_rotated_where_the_tool_can() -> None:
    rows = cells(RUNBOOK, "## Keys")
    told = {name for names in rows for name in re.findall(r"`([a-z-]+)`", names)}
    assert told == {secret.name for secret in SECRETS}
    by_the_tool = set(re.findall(r"tools\.delivery rotate ([a-z-]+)", RUNBOOK))
    assert by_the_tool == {secret.name for secret in SECRETS if secret.alone or secret.beside}


@pytest.mark.parametrize(
    ("was", "becomes", "finding"),
    [
        ("ask failures", "ask failings", "failings"),
        ("tools.delivery rollback", "tools.delivery undo", "undo"),
        ("`make torture`", "`make tortur`", "make tortur"),
        ("(#open-breakers)", "(#open-doors)", "#open-doors"),
        ("(dead-letters.md)", "(letters.md)", "letters.md"),
    ],
)
def test_what_is_not_there_is_found(was: str, becomes: str, finding: str) -> None:
    assert was in RUNBOOK
    spoilt = RUNBOOK.replace(was, becomes)
    assert finding in [*dead_links(spoilt), *unknown_queries(spoilt), *unknown_commands(spoilt)]
