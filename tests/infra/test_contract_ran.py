"""Whether a contract suite ran at all, which is a gate while what it finds is only told."""

from pathlib import Path
from typing import Final

import pytest

from tests.infra.test_pipelines_deliver import target
from tools.contract_ran import main, ran

CASE: Final = '<testsuites><testsuite><testcase name="a"/>{}</testsuite></testsuites>'


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (CASE.format('<testcase name="b"><failure/></testcase>'), 2),
        (CASE.format('<testcase name="b"><skipped/></testcase>'), 1),
        ("<testsuites><testsuite><testcase><error/></testcase></testsuite></testsuites>", 0),
        ("<testsuites><testsuite/></testsuites>", 0),
    ],
)
def test_a_suite_that_ran_is_told_from_one_that_did_not(tmp_path: Path, text: str, number: int) -> None:
    (tmp_path / "contract.xml").write_text(text)

    assert ran(tmp_path / "contract.xml") == number
    assert main(tmp_path / "contract.xml") == (0 if number else 1)


def test_a_suite_without_a_report_did_not_run(tmp_path: Path) -> None:
    (tmp_path / "cut-short.xml").write_text("<testsuites><testcase")

    assert [main(tmp_path / name) for name in ("none.xml", "cut-short.xml")] == [1, 1]
    assert "tools.contract_ran out/contract.xml" in target("contract-ran")
