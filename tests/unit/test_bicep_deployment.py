"""Deployments of Bicep files: which resources, under which names, in which scope, and what is refused."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.bicep import Folder
from tools.bicep.deployment import deploy
from tools.bicep.errors import BicepError
from tools.bicep.parameters import parameters
from tools.bicep.resources import no_two
from tools.bicep.values import Symbol

NAMESPACE = "resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' = { name: 'bus', location: 'here' }\n"
QUEUE = "Microsoft.ServiceBus/namespaces/queues@2024-01-01"
IDENTITY = """
@description('Where.')
param name string
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = { name: 'id-${name}' }
output principal string = identity.properties.principalId
output name string = identity.name
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_loops_conditions_and_parents_give_one_resource_each(folder: Folder) -> None:
    text = f"""{NAMESPACE}
        resource queues '{QUEUE}' = [for (name, i) in ['a', 'b', 'c']: if (i != 1) {{
          parent: bus
          name: name
          properties: {{ order: i, of: bus.properties.serviceBusEndpoint }}
        }}]
        resource no '{QUEUE}' = if (false) {{ parent: bus, name: 'never' }}
    """
    declared = folder.declared(text)

    assert [each.full_name for each in declared] == ["bus", "bus/a", "bus/c"]
    assert declared[2].at("properties", "order") == 2
    assert str(declared[2].at("properties", "of")) == "[bus.properties.serviceBusEndpoint]"
    assert declared[0].key == ("microsoft.servicebus/namespaces", "bus", "resourcegroup here")


def test_resources_within_a_resource_continue_its_type_name_and_version(folder: Folder) -> None:
    text = """
        resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' = {
          name: 'bus'
          resource topic 'topics' = {
            name: 'events'
            resource one 'subscriptions@2022-10-01-preview' = { name: 'stock' }
          }
        }
        output id string = bus::topic::one.id
    """
    deployment = folder.deployed(text)
    declared = list(deployment.declared())

    assert [(each.type.split("/", 1)[1], each.full_name, each.api_version) for each in declared] == [
        ("namespaces", "bus", "2024-01-01"),
        ("namespaces/topics", "bus/events", "2024-01-01"),
        ("namespaces/topics/subscriptions", "bus/events/stock", "2022-10-01-preview"),
    ]
    assert deployment.outputs["id"] == Symbol("one.id", declared[2], ("id",))


def test_modules_hand_on_what_they_know_and_what_azure_will(folder: Folder) -> None:
    folder.write(IDENTITY, "modules/identity.bicep")
    text = """
        targetScope = 'subscription'
        resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = { name: 'rg', location: 'north' }
        module identities 'modules/identity.bicep' = [for name in ['a', 'b']: {
          name: 'identity-${name}'
          scope: group
          params: { name: name }
        }]
        output names string[] = [for i in range(0, 2): identities[i].outputs.name]
        output principal string = identities[1].outputs.principal
    """
    deployment = folder.deployed(text)
    declared = list(deployment.declared())

    assert deployment.outputs["names"] == ["id-a", "id-b"]
    assert deployment.outputs["principal"].of is declared[2]
    assert declared[2].key[2] == "resourcegroup rg"


def test_what_a_resource_and_a_module_say_of_themselves_is_known_and_the_rest_is_azures(folder: Folder) -> None:
    folder.write(IDENTITY, "identity.bicep")
    text = """
        targetScope = 'subscription'
        resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
          name: 'rg'
          location: 'north'
          tags: { a: 'b' }
        }
        module m 'identity.bicep' = { name: 'named', scope: resourceGroup('other'), params: { name: 'a' } }
        module n 'inner.bicep' = { name: 'inner', scope: group }
        output said array = [group.name, group.type, group.apiVersion, group.location, m.name, nameof(m), nameof(m.x)]
        output azures array = [group.properties.x[0].y, group.tags['a'], n.outputs.where]
    """
    folder.write(
        """
        resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = { name: 'bus' }
        var key = bus.listKeys('2024-01-01').primaryKey
        output where string = '${resourceGroup().location} ${resourceGroup().name} ${key}'
        """,
        "inner.bicep",
    )
    outputs = folder.deployed(text).outputs

    kind = "Microsoft.Resources/resourceGroups"
    assert outputs["said"] == ["rg", kind, "2024-03-01", "north", "named", "m", "x"]
    assert [str(each) for each in outputs["azures"]] == [
        "[group.properties.x[0].y]",
        "b",
        "north rg [bus.listKeys('2024-01-01').primaryKey]",
    ]


def test_a_resource_that_is_there_already_is_the_same_as_the_one_that_makes_it(folder: Folder) -> None:
    text = f"""{NAMESPACE}
        resource again 'Microsoft.ServiceBus/namespaces@2024-01-01' existing = {{ name: 'bus' }}
        resource role 'Microsoft.Authorization/roleAssignments@2022-04-01' = {{ scope: again, name: guid(again.id) }}
        resource same 'Microsoft.Authorization/roleAssignments@2022-04-01' = {{ scope: bus, name: guid(bus.id) }}
    """
    deployment = folder.deployed(text)
    bus, role, same = deployment.declared()

    assert role.key == same.key
    assert role.key[2] == " ".join(bus.key)
    assert [problem for _, problem in no_two([bus, role, same])] == [f"{same} is declared already, at {role.place}"]


def test_types_variables_and_functions_come_from_other_files(folder: Folder) -> None:
    folder.write(
        dedent("""
        @export()
        type size = { @minLength(3)
          name: string, memory: (512 | 2048)? }
        @export()
        var sizes = { dev: [{ name: 'all', memory: 512 }], prod: [] }
        var prefix = 'app'
        @export()
        func named(of size) string => '${prefix}-${of.name}'
        """),
        "sizes.bicep",
    )
    text = """
        import { size as shape, sizes } from 'sizes.bicep'
        import * as shared from 'sizes.bicep'
        param chosen shape[] = sizes.dev
        param one shared.size = chosen[0]
        output name string = shared.named(one)
        output same bool = shared.sizes == sizes
    """
    assert folder.deployed(text).outputs == {"name": "app-all", "same": True}
    with pytest.raises(BicepError, match=r"parameter 'one': .name: 'no' breaks @minLength\(3\)"):
        folder.deployed(text, one={"name": "no"})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("module m 'identity.bicep' = { name: 'm' }", "identity.bicep needs the parameter 'name'"),
        ("module m 'identity.bicep' = { params: { name: 'a', more: 1 } }", "identity.bicep has no parameter 'more'"),
        ("module m 'identity.bicep' = { params: { name: 1 } }", "parameter 'name': 1 is no string"),
        ("module m 'nowhere.bicep' = { name: 'm' }", "there is no such file"),
        ("module m 'br/public:x:1' = { name: 'm' }", "is not among these files"),
        (
            "module m 'identity.bicep' = { params: { name: 'a' } }\noutput x string = m.outputs.other",
            "identity.bicep has no output 'other'",
        ),
        (
            "module m 'identity.bicep' = if (false) { params: { name: 'a' } }\noutput x string = m!.outputs.name",
            "this module is not deployed here, and its output 'name' is asked for",
        ),
        ("resource a 'Microsoft.X/y@1' = { properties: {} }", "resource 'a' has no name"),
        ("resource a 'Microsoft.X/y/z@1' = { name: 'a' }", "'a' has 1 segments, and Microsoft.X/y/z needs 2"),
        ("resource a 'Microsoft.X/y' = { name: 'a' }", "is no resource type with its version"),
        (f"{NAMESPACE}resource a 'Microsoft.X/y/z@1' = {{ parent: bus, name: 'a' }}", "is no child of"),
        (
            f"{NAMESPACE}resource a 'Microsoft.ServiceBus/namespaces/topics/rules@1' = {{ parent: bus, name: 'a' }}",
            "is no child of",
        ),
        (
            "targetScope = 'subscription'\nmodule m 'identity.bicep' = { params: { name: 'a' } }",
            "it is for a resourceGroup, and deployed to a subscription",
        ),
        (f"{NAMESPACE}resource a 'A.B/c@1' = if (bus.properties.x == 'y') {{ name: 'a' }}", "must be known before"),
        (
            "resource a 'A.B/c@1' = if (false) { name: 'a' }\noutput x string = a.properties.y",
            "'a' is not deployed here, and its 'properties' is asked for",
        ),
        ("resource a 'A.B/c@1' = { name: a.name }", "'a' needs its own value"),
        ("targetScope = 'subscription'\nvar x = resourceGroup().id", "not deployed to a resource group"),
        ("output x string = 1", "output 'x': 1 is no string"),
        ("module m 'identity.bicep' = { scope: 'rg', params: { name: 'a' } }", "a module goes to a subscription or"),
        (
            "module m 'identity.bicep' = { params: { name: 'a' } }\nvar x = m.principal",
            "a module has a name",
        ),
        (f"{NAMESPACE}var x = bus::topic", "no resource 'topic' is declared in bus"),
        (f"{NAMESPACE}var x = bus.find('x')", "bus has no function 'find'"),
        ("var x = 'text'.length", "'text' has no 'length'"),
        ("func f() string => 'x'\nvar x = '${map}'", "'map' is not defined"),
        (f"{NAMESPACE}var x = '${{bus}}'", "bus cannot be written into a text"),
        ("assert never = 1 == 2", "assert 'never' does not hold"),
        ("func f(a string) int => 1\nvar x = f(2)", "f: 'a': 2 is no string"),
        ("func f(a string) int => 1\nvar x = f()", "f takes 1 arguments, not 0"),
    ],
)
def test_what_a_deployment_would_stumble_over_is_refused(folder: Folder, text: str, problem: str) -> None:
    folder.write(IDENTITY, "identity.bicep")
    with pytest.raises(BicepError) as refused:
        folder.deployed(text)
    assert problem in str(refused.value)


def test_modules_may_not_be_within_each_other_for_ever(folder: Folder) -> None:
    with pytest.raises(BicepError, match="more than 16 modules within each other"):
        folder.deployed("module again 'main.bicep' = { name: 'again' }")


def test_a_module_that_is_not_deployed_has_no_outputs_and_that_can_be_said(folder: Folder) -> None:
    folder.write(IDENTITY, "identity.bicep")
    text = """
        module m 'identity.bicep' = if (false) { params: { name: 'a' } }
        output x string? = m.?outputs.?name
        output y string[]? = m.?outputs.name
        output z bool = m.?outputs == null
    """
    assert folder.deployed(text).outputs == {"x": None, "y": None, "z": True}


def test_what_is_declared_in_a_resource_that_is_not_deployed_is_not_either(folder: Folder) -> None:
    text = """
        resource bus 'Microsoft.ServiceBus/namespaces@2024-01-01' = if (false) {
          name: 'bus'
          resource topic 'topics' = { name: 'events' }
        }
        resource queue 'Microsoft.ServiceBus/namespaces/queues@2024-01-01' = { parent: bus, name: 'stock' }
    """
    assert folder.declared(text) == []


def test_a_parameters_file_reads_the_environment(folder: Folder) -> None:
    folder.write(
        "param size string\nparam name string\nparam ports int[]\noutput all string = '${name}${size}${length(ports)}'"
    )
    file = folder.write(
        dedent("""
        using 'main.bicep'
        var usual = '80,443'
        param size = readEnvironmentVariable('SIZE')
        param name = '${size}-one'
        param ports = map(split(readEnvironmentVariable('PORTS', usual), ','), port => int(port))
        """),
        "main.bicepparam",
    )
    path, values = parameters(file, {"SIZE": "big"})

    assert values == {"size": "big", "name": "big-one", "ports": [80, 443]}
    assert deploy(path, values).outputs == {"all": "big-onebig2"}
    with pytest.raises(BicepError, match="SIZE is not set"):
        parameters(file, {})
    with pytest.raises(BicepError, match="does not say which file"):
        parameters(folder.write("param a = 1", "lost.bicepparam"), {})
