"""docs/security.md names what exists: files, every container, every secret, every kind of test it relies on."""

import re
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from shared.settings import Settings, variable
from shared.topology import topology

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "security.md").read_text()
FOLDERS: Final = ("bench", "docs", "functions", "infra", "local", "shared", "tests")
NAMED: Final = sorted({
    name for name in re.findall(r"`([\w./-]+\.\w+)`", PAGE) if name.split("/")[0] in FOLDERS or name.endswith(".txt")
})  # fmt: skip


def rows(heading: str) -> dict[str, str]:
    """The first table below a heading: its first cell, bare, → the rest."""
    table = next(part for part in PAGE.partition(f"## {heading}\n")[2].split("\n\n") if part.startswith("| "))
    cells = [line.strip("|").split("|", 1) for line in table.splitlines()[2:]]
    return {first.strip().strip("`"): rest for first, rest in cells}


def threats() -> list[list[str]]:
    """Every row of the borders' tables."""
    lines = [line for line in PAGE.splitlines() if re.match(r"\| [STRIDE ]+ \| ", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("name", NAMED)
def test_what_the_page_names_exists(name: str) -> None:
    assert (ROOT / name).is_file()


def test_the_page_names_tests_of_many_kinds() -> None:
    kinds = {name.split("/")[1] for name in NAMED if name.startswith("tests/")}
    assert kinds >= {"unit", "contract", "host", "emulators", "functions", "misuse", "property", "faults"}


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w-]+\.md)\)", PAGE)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []


def test_every_threat_says_what_protects_and_which_file_shows_it() -> None:
    found = threats()
    assert len(found) >= 30
    for row in found:
        assert len(row) == 4
        assert row[2]
        assert row[3] == "–" or re.search(r"`[\w./-]+`", row[3]), row


def test_each_border_has_its_table() -> None:
    borders = re.findall(r"^### (\d)\. ", PAGE, re.MULTILINE)
    drawn = re.findall(r"-- (\d) -->", PAGE)
    assert sorted(borders) == sorted(drawn) == [str(number) for number in range(1, 9)]


def test_every_secret_setting_has_its_row_and_no_other() -> None:
    secrets = {
        variable(name)
        for name, field in Settings.model_fields.items()
        if "SecretStr" in str(field.annotation) or field.annotation is SecretStr
    }
    assert secrets == set(rows("Secrets"))


def test_every_container_has_its_row_and_no_other() -> None:
    assert {container.name for container in topology().containers} == set(rows("Personal data, where it is"))
