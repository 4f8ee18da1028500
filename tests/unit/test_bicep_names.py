"""Names in Bicep files: what nothing declares, what nothing uses, what another file does not have."""

from pathlib import Path

import pytest

from tests.support.bicep import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        ("param a string\nvar b = 1\ntype c = string\nfunc d() int => 1", [
            "1: parameter 'a' is not used", "2: variable 'b' is not used",
            "3: type 'c' is not used", "4: function 'd' is not used",
        ]),
        ("output x string = nowhere", ["1: name 'nowhere' is not defined"]),
        ("output x string = unheard('a')", ["1: function 'unheard' is not defined"]),
        ("output x string = az.unheard('a')", ["1: function 'unheard' is not defined"]),
        ("output x unheard = 'a'", ["1: type 'unheard' is not defined"]),
        ("output x int[] = [for a in [1]: a]\noutput y int = a", ["2: name 'a' is not defined"]),
        ("output x int[] = map([1], a => a + b)", ["1: name 'b' is not defined"]),
        ("output x int[] = [for a in a: a]", ["1: name 'a' is not defined"]),
        ("import { other } from 'lib.bicep'", [
            "1: import 'other' is not used", "1: lib.bicep exports no 'other'",
        ]),
        ("module m 'lib.bicep' = { params: { no: 1 } }\noutput x string = m.outputs.gone", [
            "1: lib.bicep has no parameter 'no'", "2: lib.bicep has no output 'gone'",
        ]),
        ("module m 'lib.bicep' = [for a in [1]: { params: {} }]\noutput x string = m[0]!.outputs.gone", [
            "2: lib.bicep has no output 'gone'",
        ]),
        ("resource r 'A.B/c@1' existing = { name: 'x' }", ["1: existing resource 'r' is not used"]),
        ("resource r 'A.B/c@1' = {\n name: 'x'\n resource s 'd' = { name: t.name }\n resource t 'd' = { name: 'y' }\n}",
         []),
        ("@export()\nvar a = 1", []),
        ("module m 'gone.bicep' = { name: 'm' }", ["1: module 'm': gone.bicep:1: there is no such file"]),
        ("module m 'lib.bicep' = { name: 'm' }\noutput x string = m.outputs.there", []),
        ("var p = {}\nmodule m 'lib.bicep' = { params: { ...p } }", []),
        ("@batchSize(2)\nresource r 'A.B/c@1' = [for a in [1]: { name: 'x' }]", []),
        ("@batchSize(1)\nresource r 'A.B/c@1' = { name: 'x' }", [
            "1: BCP155: 'r' is no loop, so it has no batches",
        ]),
        ("@batchSize(0)\nmodule m 'lib.bicep' = [for a in [1]: { name: 'm' }]", [
            "1: BCP154: @batchSize() takes a number of at least 1",
        ]),
        ("@batchSize('1')\nmodule m 'lib.bicep' = [for a in [1]: { name: 'm' }]", [
            "1: BCP154: @batchSize() takes a number of at least 1",
        ]),
        ("@batchSize(1)\noutput x string = 'a'", ["1: @batchSize() does not stand before 'x'"]),
        ("resource r 'A.B/c@1' = {\n name: 'x'\n @batchsize(1)\n resource s 'd' = { name: 'y' }\n}", [
            "3: decorator 'batchsize' is not defined",
        ]),
        ("var a = [1", ["1: expected a comma, a new line or ']', found 'end'"]),
    ],
)  # fmt: skip
def test_names_that_nothing_declares_or_uses_are_found_without_values(
    folder: Folder, text: str, findings: list[str]
) -> None:
    folder.write("output there string = 'x'", "lib.bicep")
    assert [found.replace(f"{folder.path}/", "") for found in folder.findings(text)] == findings
