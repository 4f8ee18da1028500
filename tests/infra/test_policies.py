"""The gateway's policies: well-formed, of elements that each tier has, each where it may stand, each value declared."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import pytest

from tests.infra.conftest import Break
from tests.infra.world import Infra, Planned

TABLE: Final = json.loads((Path(__file__).parent / "schemas" / "policies.json").read_text())
POLICIES: Final = TABLE["policies"]
SECTIONS: Final = ("inbound", "backend", "outbound", "on-error")
NAMED_VALUE: Final = re.compile(r"\{\{([^{}]+)\}\}")
TIERS: Final = ("Developer", "StandardV2")


def misplaced(infra: Infra) -> list[str]:
    """Policies that are not well-formed, unknown elements, and those that may not stand where they do."""
    return [problem for path in sorted((infra.folder / "policies").glob("*.xml")) for problem in _file(path)]


def _file(path: Path) -> Iterator[str]:
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - our own files
    except ElementTree.ParseError as refused:
        yield f"{path.name}: {refused}"
        return
    if (root.tag, [section.tag for section in root]) != ("policies", list(SECTIONS)):
        yield f"{path.name}: it is not <policies> with {', '.join(SECTIONS)}"
    for section in root:
        yield from (f"{path.name}: {problem}" for policy in section for problem in _policy(policy, section.tag))
        if section.tag == "backend" and len(section) != 1:
            yield f"{path.name}: backend has one policy, not {len(section)}"


def _policy(element: ElementTree.Element, section: str) -> Iterator[str]:
    known = POLICIES.get(element.tag)
    if known is None:
        yield f"there is no policy <{element.tag}>"
        return
    if section not in known["sections"]:
        yield f"<{element.tag}> may not stand in {section}"
    yield from _inside(element, section)


def _inside(element: ElementTree.Element, section: str) -> Iterator[str]:
    parts = TABLE["parts"].get(element.tag, [])
    for child in element:
        if child.tag in parts:
            yield from _inside(child, section)
        elif element.tag in TABLE["containers"]:
            yield from _policy(child, section)
        else:
            yield f"<{element.tag}> has no <{child.tag}>"


def lacking(infra: Infra, tier: str) -> list[str]:
    """Policies that a tier does not have."""
    return [
        f"{path.name}: <{element.tag}>"
        for path in sorted((infra.folder / "policies").glob("*.xml"))
        for element in ElementTree.parse(path).iter()  # noqa: S314 - likewise
        if element.tag in POLICIES and tier not in POLICIES[element.tag]["tiers"]
    ]


def undeclared(infra: Infra) -> list[str]:
    """Named values that a policy reads and nothing declares, and those that nothing reads."""
    texts = {path.name: path.read_text() for path in sorted((infra.folder / "policies").glob("*.xml"))}
    read = {name for text in texts.values() for name in NAMED_VALUE.findall(text)}
    declared = set(infra.json("policies/operations.json")["named_values"])
    return [f"{name} is not declared" for name in sorted(read - declared)] + [
        f"{name} is read by no policy" for name in sorted(declared - read)
    ]


def values_deployed(plan: Planned, infra: Infra) -> list[str]:
    """Named values that are not deployed as `operations.json` has them; one missing stops each policy that reads it."""
    wanted = infra.json("policies/operations.json")["named_values"]
    found = {str(each.name): each for each in plan.of("Microsoft.ApiManagement/service/namedValues")}
    problems = [f"{name} is not deployed" for name in wanted.keys() - found.keys()]
    problems += [f"{name} is deployed for nothing" for name in found.keys() - wanted.keys()]
    for name, each in found.items():
        if each.at("properties", "displayName") != name:
            problems.append(f"{name} is called {each.at('properties', 'displayName')}, by which policies find it")
        secret = bool(wanted.get(name, {}).get("secret"))
        in_vault = "/secrets/" in str(each.at("properties", "keyVault", "secretIdentifier"))
        if bool(each.at("properties", "secret")) != secret or in_vault != secret:
            problems.append(f"{name} is {'a secret' if secret else 'no secret'}, and declared otherwise")
        if not secret and not str(each.at("properties", "value") or ""):
            problems.append(f"{name} has no value")
    return problems


def test_every_policy_is_known_and_stands_where_it_may(infra: Infra) -> None:
    assert misplaced(infra) == []


def test_every_tier_that_is_deployed_has_every_policy(infra: Infra, plan: Planned) -> None:
    tier = plan.one("Microsoft.ApiManagement/service").at("sku", "name")
    assert tier in TIERS
    assert lacking(infra, tier) == []


def test_named_values_are_declared_read_and_deployed(infra: Infra, plan: Planned) -> None:
    assert undeclared(infra) == []
    assert values_deployed(plan, infra) == []


def _tier(tier: str) -> Callable[[Infra], list[str]]:
    return lambda infra: lacking(infra, tier)


@pytest.mark.parametrize(
    ("check", "file", "old", "new", "found"),
    [
        (misplaced, "anonymous.xml", "</inbound>", "</inbond>", "mismatched tag"),
        (misplaced, "anonymous.xml", "rate-limit-by-key", "rate-limit-per-key", "no policy <rate-limit-per-key>"),
        (misplaced, "anonymous.xml", "<outbound>", "<outbound><validate-jwt />", "may not stand in outbound"),
        (misplaced, "global.xml", "<allowed-origins>", "<allowed-headers /><origins>", "mismatched tag"),
        (misplaced, "global.xml", "<origin>{{site-origin}}</origin>", "<host>x</host>", "has no <host>"),
        (
            misplaced,
            "anonymous.xml",
            "<on-error>\n    <base />\n  </on-error>\n",
            "",
            "it is not <policies> with inbound",
        ),
        (misplaced, "global.xml", "<forward-request />", "<cors />", "<cors> may not stand in backend"),
        (misplaced, "global.xml", "<backend>", "<backend><set-method />", "backend has one policy, not 2"),
        (_tier("StandardV2"), "anonymous.xml", "rate-limit-by-key", "quota-by-key", "<quota-by-key>"),
        (undeclared, "anonymous.xml", "{{body-bytes}}", "{{body-byte}}", "body-byte is not declared"),
        (undeclared, "operations.json", '"cache-seconds"', '"cache-minutes"', "cache-minutes is read by no policy"),
    ],
)
def test_a_policy_that_azure_would_refuse_is_found(
    broken: Break, check: Callable[[Infra], list[str]], file: str, old: str, new: str, found: str
) -> None:
    assert [each for each in check(broken(f"policies/{file}", old, new)) if found in each] != []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("name: value.key\n", "name: 'x-${value.key}'\n", "authority is not deployed"),
        ("displayName: value.key", "displayName: toUpper(value.key)", "by which policies find it"),
        ("secret: value.value.?secret ?? false", "secret: false", "insights-key is a secret"),
        ("(values[?value.key] ?? value.value.?default)", "''", "body-bytes has no value"),
    ],
)
def test_a_named_value_that_policies_would_not_find_is_found(broken: Break, old: str, new: str, found: str) -> None:
    copy = broken("modules/gateway.bicep", old, new)
    assert [each for each in values_deployed(copy.planned("dev"), copy) if found in each] != []
