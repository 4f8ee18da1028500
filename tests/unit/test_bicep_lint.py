"""What the compiler and its linter would warn of, and what they would not."""

from pathlib import Path

import pytest

from tests.support.bicep import Folder
from tools.bicep.lint import warnings

BUS = "resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' = if (on) { name: 'bus' }\nparam on bool\n"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("var a = '${b}'", "simplify-interpolation"),
        ("var a = ['x', '${b}']", "simplify-interpolation"),
        ("var a = { 'b': 1 }", "prefer-unquoted-property-names"),
        ("var a = 'https://x.vault.azure.net'", "no-hardcoded-env-urls"),
        ("var a = 'https://${b}.blob.core.windows.net/'", "no-hardcoded-env-urls"),
        ("var a = json('null')", "simplify-json-null"),
        ("var a = concat('a', b)", "prefer-interpolation"),
        ("var a = b[first(c)]", "BCP074"),
        ("var a = first(b).name", "BCP318"),
        ("var a = last(b)[0]", "BCP318"),
        (f"{BUS}var a = bus.properties.x", "BCP318"),
        ("module m 'm.bicep' = if (b) { name: 'm' }\nvar a = m.outputs.x", "BCP318"),
        ("var a = resourceGroup().location", "no-loc-expr-outside-params"),
        ("resource r 'A.B/c@1' = { name: 'r', location: resourceGroup().location }", "no-loc-expr-outside-params"),
        ("resource r 'A.B/c/d@1' = { name: 'a/b' }", "use-parent-property"),
        ("resource r 'A.B/c/d@1' = [for x in y: { name: '${x}/b' }]", "use-parent-property"),
        ("output x string = r.listKeys().key", "outputs-should-not-contain-secrets"),
        ("output adminPassword string = 'x'", "outputs-should-not-contain-secrets"),
        ("@secure()\nparam p string = 'x'", "secure-parameter-default"),
        ("resource a 'A.B/c@1' = { name: b.name, dependsOn: [b] }", "no-unnecessary-dependson"),
        ("resource a 'A.B/c@1' = { name: 'x', parent: b, dependsOn: [b] }", "no-unnecessary-dependson"),
        ("module m 'm.bicep' = if (b.properties.x) { name: 'm', dependsOn: [b] }", "no-unnecessary-dependson"),
    ],
)
def test_what_would_be_warned_of_is_found_by_the_rules_name(tmp_path: Path, text: str, rule: str) -> None:
    found = [each.problem.partition(":")[0] for each in warnings(Folder(tmp_path).write(text))]
    assert found == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "var a = { '${b}': 1, 'c-d': 2 }",
        "var a = '${b}${c}'",
        "var a = 'https://schema.management.azure.com/x'",
        "var a = concat(b, c)",
        "var a = b[first(c)!]",
        "var a = first(b)!.name",
        "var a = first(b).?name",
        f"{BUS}var a = bus!.properties.x\nvar b = bus.?properties.x\nvar c = bus.id",
        "param a string = resourceGroup().location",
        "@secure()\nparam p string = ''",
        "resource a 'A.B/c@1' = { name: 'x', dependsOn: [b] }",
        "resource a 'A.B/c@1' = [for x in y: { name: '${x}-a', dependsOn: [b] }]",
        "this is no Bicep",
    ],
)
def test_what_would_not_is_not(tmp_path: Path, text: str) -> None:
    assert warnings(Folder(tmp_path).write(text)) == []


def test_a_parameters_file_may_name_hosts(tmp_path: Path) -> None:
    file = Folder(tmp_path).write("using 'main.bicep'\nparam a = 'https://login.microsoftonline.com/x'", "a.bicepparam")
    assert warnings(file) == []
