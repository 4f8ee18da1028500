"""The queries of infra/queries, read by Microsoft's own parser of the Kusto language, which nobody here wrote.

Not part of `make test`: it needs node and packages from npm, which `make foreign` fetches. It knows types, and our
reader (`tests/infra/kusto.py`) does not.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.infra.vocabulary import ROOT

HERE: Final = Path(__file__).parent
SCHEMA: Final = ROOT / "tests" / "infra" / "workspace_tables.json"
QUERIES: Final = sorted((ROOT / "infra" / "queries").glob("*.kql"))


def findings(paths: Sequence[Path]) -> dict[str, list[str]]:
    """What the parser finds wrong with each."""
    command = ["node", "kusto.js", str(SCHEMA), *map(str, paths)]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def test_microsofts_parser_finds_nothing_wrong_with_our_queries() -> None:
    found = findings(QUERIES)
    assert len(found) == len(QUERIES) > 20
    assert {path: wrong for path, wrong in found.items() if wrong} == {}


@pytest.mark.parametrize(
    ("query", "finding"),
    [
        ("AppMetrics | where Nam == 'x'", "The name 'Nam' does not refer to any known column"),
        ("AppMetrics | summarize sum(Sum) by Properties.queue", "dynamic"),
        ("AppMetrics | where round(Name) > 1", "must be a number"),
        ("AppMetric | count", "The name 'AppMetric' does not refer"),
    ],
)
def test_it_finds_what_is_wrong(tmp_path: Path, query: str, finding: str) -> None:
    path = tmp_path / "wrong.kql"
    path.write_text(query)
    assert any(finding in told for told in findings([path])[str(path)])
