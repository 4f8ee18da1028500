"""The alerts and panels that the Bicep modules write down, as far as checks need them: lists of plain objects."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tests.infra.vocabulary import ROOT

MODULES: Final = ROOT / "infra" / "modules"
RUNBOOK: Final = ROOT / "docs" / "runbook.md"
_OBJECT: Final = re.compile(r"^  \{\n((?:    .*\n)+?)  \}$", re.MULTILINE)
_FLAT: Final = re.compile(r"^  \{ (title: .*) \}$", re.MULTILINE)
_FIELD: Final = re.compile(r"^    (\w+): (.+)$", re.MULTILINE)
_LOADED: Final = re.compile(r"loadTextContent\('\.\./queries/([a-z-]+)\.kql'\)")
_COSTLY: Final = re.compile(r"^  for app in apps: \{\n((?:    .*\n)+?)  \}$", re.MULTILINE)
_SECTION: Final = re.compile(r"^### ([a-z-]+)$", re.MULTILINE)

type Fields = Mapping[str, str]


def source(module: str) -> str:
    """The text of a module."""
    return (MODULES / f"{module}.bicep").read_text()


def alerts(text: str) -> Sequence[Fields]:
    """The alerts of a module, each with its fields as they are written, texts without their quotes."""
    blocks = [*_OBJECT.findall(text), *_COSTLY.findall(text)]
    found = [{name: value.strip("'") for name, value in _FIELD.findall(block)} for block in blocks]
    return [each for each in found if "severity" in each]


def query_of(alert: Fields) -> str:
    """The name of the query it asks."""
    [name] = _LOADED.findall(alert["query"])
    return str(name)


def panels(text: str) -> Sequence[tuple[str, str]]:
    """The query of each panel of the workbook, and how it is shown."""
    found = []
    for line in _FLAT.findall(text):
        [query], [shown] = _LOADED.findall(line), re.findall(r"shown: '(\w+)'", line)
        found.append((query, shown))
    return found


def sections(runbook: str) -> Sequence[str]:
    """The alerts that a runbook has a section for."""
    return _SECTION.findall(runbook)
