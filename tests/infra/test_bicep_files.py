"""The Bicep files themselves: two readers, names, versions, no secrets, and the real compiler where there is one."""

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
import tree_sitter_bicep
from tree_sitter import Language, Node, Parser

from tests.infra.conftest import Break
from tests.infra.world import VARIANTS, Infra, Planned
from tools.bicep.lint import warnings
from tools.bicep.names import findings, within
from tools.bicep.reader import read
from tools.bicep.resources import no_two
from tools.bicep.statements import Output, Parameter, Resource
from tools.bicep.syntax import Call
from tools.plan import planned, wrong

VERSION: Final = re.compile(r"\d{4}-\d\d-\d\d")
# Of these there is no version but previews.
ONLY_PREVIEWS: Final = frozenset({"Microsoft.Insights/diagnosticSettings"})
KEYS: Final = ("list", "getSecret")
SECRET: Final = re.compile(
    r"AccountKey=|SharedAccessKey(Name)?=|sk_(live|test)_|whsec_|-----BEGIN|InstrumentationKey=|"
    r"(?i:password|secret|apikey)\s*[:=]\s*'[^'$<@]{12,}'"
)


def unread(infra: Infra) -> list[str]:
    """What the grammar of tree-sitter does not take for Bicep."""
    parser = Parser(Language(tree_sitter_bicep.language()))
    return [
        f"{path.name}:{node.start_point[0] + 1}: syntax"
        for path in infra.bicep
        for node in _broken(parser.parse(path.read_bytes()).root_node)
    ]


def _broken(node: Node) -> Iterator[Node]:
    if node.type == "ERROR" or node.is_missing:
        yield node
    for child in node.children:
        yield from _broken(child)


def versions(infra: Infra) -> list[str]:
    """Types without one stable version."""
    found: dict[str, set[str]] = {}
    for path in infra.bicep:
        for declaration in read(path).declarations:
            for node in (declaration, *within(declaration)):
                if isinstance(node, Resource):
                    kind, _, version = node.type.partition("@")
                    found.setdefault(kind, set()).add(version)
    return [
        *(f"{kind}: {', '.join(sorted(each))}" for kind, each in found.items() if len(each) > 1),
        *(
            f"{kind}@{version}"
            for kind, each in found.items()
            for version in each
            if not VERSION.fullmatch(version) and kind not in ONLY_PREVIEWS
        ),
    ]


def undescribed(infra: Infra) -> list[str]:
    """Parameters and outputs that nothing is said of."""
    return [
        f"{path.name}: {each.name}"
        for path in infra.bicep
        for each in read(path).declarations
        if isinstance(each, Parameter | Output) and not each.decorated("description")
    ]


def secrets(infra: Infra) -> list[str]:
    """Secrets in files, and calls that would hand one out."""
    literal = [
        f"{path.name}: {found[0]}"
        for path in sorted(infra.folder.rglob("*"))
        if path.is_file()
        for found in SECRET.finditer(path.read_text())
    ]
    handed_out = [
        f"{path.name}:{node.place.line}: {node.function}()"
        for path in infra.bicep
        for declaration in read(path).declarations
        for node in within(declaration)
        if isinstance(node, Call) and node.function.startswith(KEYS)
    ]
    return literal + handed_out


def named(infra: Infra) -> list[str]:
    """What our own reader has against names: undefined, unused, unknown parameters and outputs."""
    return [str(found) for path in sorted(infra.folder.rglob("*.bicep*")) for found in findings(path)]


def warned(infra: Infra) -> list[str]:
    """What the compiler or its linter would warn of, as far as our own reader sees it."""
    return [str(found) for path in sorted(infra.folder.rglob("*.bicep*")) for found in warnings(path)]


@pytest.mark.parametrize("check", [unread, versions, undescribed, secrets, named, warned])
def test_every_file_is_good(infra: Infra, check: Callable[[Infra], list[str]]) -> None:
    assert check(infra) == []


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (unread, "modules/servicebus.bicep", "parent: namespace", "parent namespace", "servicebus.bicep:"),
        (versions, "modules/cosmos.bicep", "sqlDatabases@2025-04-15", "sqlDatabases@2025-05-01-preview", "-preview"),
        (versions, "modules/access-storage.bicep", "storageAccounts@2025-01-01", "storageAccounts@2024-01-01", "2024"),
        (versions, "modules/site.bicep", "staticSites@2024-11-01", "staticSites@latest", "staticSites@latest"),
        (undescribed, "modules/site.bicep", "@description('Tags of every resource.')\n", "", "site.bicep: tags"),
        (
            secrets,
            "modules/storage.bicep",
            "output id string = account.id",
            "output id string = account.listKeys().keys[0].value",
            "listKeys()",
        ),
        (
            secrets,
            "main.bicep",
            "SMTP_HOST: smtp.host",
            "SMTP_PASSWORD: 'a-very-long-password'",
            "main.bicep: PASSWORD",
        ),
        (secrets, "main.bicepparam", "'westeurope'", "'sk_live_x'", "main.bicepparam: sk_live_"),
        (
            named,
            "main.bicep",
            "name: '${prefix}-site-${token}', tier",
            "name: '${prefx}-site-${token}', tier",
            "'prefx' is not defined",
        ),
        (named, "main.bicep", "site.outputs.url", "site.outputs.uri", "has no output 'uri'"),
        (named, "main.bicep", "tier: size.siteTier }", "tier: size.siteTier, teir: 1 }", "has no parameter 'teir'"),
        (named, "modules/site.bicep", "tags: tags\n", "tags: {}\n", "parameter 'tags' is not used"),
        (warned, "main.bicep", "network!.outputs.appSubnetIds", "network.outputs.appSubnetIds", "BCP318: 'network'"),
    ],
)
def test_a_file_that_is_not_is_found(
    broken: Break, check: Callable[[Infra], list[str]], file: str, old: str, new: str, found: str
) -> None:
    assert [each for each in check(broken(file, old, new)) if found in each] != []


def test_every_variant_can_be_deployed_and_declares_nothing_twice(plan: Planned) -> None:
    assert no_two(list(plan.declared)) == []
    assert len(plan.declared) > 100


def test_the_vault_comes_first_and_is_where_the_rest_looks_for_it(infra: Infra, prod: Planned) -> None:
    declared = infra.vault().declared
    (vault,) = (each for each in declared if each.type == "Microsoft.KeyVault/vaults")
    assert {each.name for each in declared if each.type == "Microsoft.Resources/resourceGroups"} == {
        each.name for each in prod.of("Microsoft.Resources/resourceGroups")
    }
    assert prod.deployment.outputs["KEY_VAULT_NAME"] == vault.name


def test_a_resource_that_is_declared_twice_is_found(broken: Break) -> None:
    copy = broken("modules/identities.bicep", "name: 'id-${prefix}-${name}'", "name: 'id-${prefix}-gateway'")
    plan = copy.planned("dev")
    assert [str(found.problem) for found in wrong(plan.deployment, copy.folder) if "declared already" in found.problem]


# https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
NAMES: Final = {
    "Microsoft.ApiManagement/service": r"[A-Za-z](?=.{0,49}$)[A-Za-z0-9-]*[A-Za-z0-9]",
    "Microsoft.DocumentDB/databaseAccounts": r"(?=.{3,44}$)[a-z0-9][a-z0-9-]*",
    "Microsoft.Insights/components": r"(?=.{1,260}$)[^%&\\?/]*[^%&\\?/. ]",
    "Microsoft.KeyVault/vaults": r"(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])+",
    "Microsoft.ManagedIdentity/userAssignedIdentities": r"(?=.{3,128}$)[A-Za-z0-9][A-Za-z0-9_-]+",
    "Microsoft.OperationalInsights/workspaces": r"(?=.{4,63}$)[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]",
    "Microsoft.Resources/resourceGroups": r"(?=.{1,90}$)[\w().-]*[\w()-]",
    "Microsoft.ServiceBus/namespaces": r"(?=.{6,50}$)[A-Za-z](-?[A-Za-z0-9])+(?<!-sb)(?<!-mgmt)",
    "Microsoft.Storage/storageAccounts": r"[a-z0-9]{3,24}",
    "Microsoft.Web/sites": r"(?=.{2,60}$)[A-Za-z0-9](-?[A-Za-z0-9])+",
    "Microsoft.Web/serverfarms": r"(?=.{1,60}$)[A-Za-z0-9-]+",
    "Microsoft.Web/staticSites": r"(?=.{1,40}$)[A-Za-z0-9](-?[A-Za-z0-9])+",
}


def ill_named(plan: Planned) -> list[str]:
    """Resources whose names Azure would refuse."""
    rules = {kind.lower(): re.compile(rule) for kind, rule in NAMES.items()}
    return [
        f"{each.type}: {each.name}"
        for each in plan.declared
        if each.type.lower() in rules and not rules[each.type.lower()].fullmatch(str(each.name))
    ]


@pytest.mark.parametrize("installation", ["abc", "abcdefghi"])
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_shortest_and_the_longest_installation_have_names_that_azure_takes(
    infra: Infra, installation: str, environment: str
) -> None:
    variables = {"TESSERA_INSTALLATION": installation}
    for file in ("main.bicepparam", "vault.bicepparam"):
        deployment = planned(environment, infra=infra.folder, file=file, variables=variables)
        assert ill_named(Planned(installation, deployment)) == []


def test_a_name_that_is_too_long_is_found(broken: Break) -> None:
    name = "take('st${installation}${uniqueString(token, app.name)}', 24)"
    copy = broken("modules/stores.bicep", name, "'st-${installation}'")
    assert [each.split(":")[0] for each in ill_named(copy.planned("dev"))] == ["Microsoft.Storage/storageAccounts"]


@pytest.mark.skipif(shutil.which("bicep") is None, reason="no bicep on the PATH: only our own reader has looked")
@pytest.mark.parametrize("file", ["main.bicep", "vault.bicep"])
@pytest.mark.parametrize("command", ["build", "lint"])
def test_the_real_compiler_builds_and_lints_without_a_warning(infra: Infra, file: str, command: str) -> None:
    options = ["--stdout"] if command == "build" else []
    done = subprocess.run(
        ["bicep", command, *options, str(infra.folder / file)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_variant_reads_only_variables_that_the_parameters_file_names() -> None:
    text = (Path(__file__).parents[2] / "infra" / "main.bicepparam").read_text()
    assert [name for _, variables in VARIANTS.values() for name in variables if f"'{name}'" not in text] == []
