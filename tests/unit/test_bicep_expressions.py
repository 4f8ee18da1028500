"""Bicep's expressions: what they are worth, what is refused, and what only Azure knows."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.bicep import value
from tools.bicep.errors import BicepError
from tools.bicep.values import Symbol, Template

NUMBERS = st.integers(min_value=0, max_value=999)


@pytest.mark.parametrize(
    ("expression", "worth"),
    [
        ("1 + 2 * 3 - 4", 3),
        ("(1 + 2) * 3", 9),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("1 < 2 && !(2 >= 3) || false", True),
        ("'B' =~ 'b' && 'B' != 'b'", True),
        ("true == 1", False),
        ("null ?? 'x'", "x"),
        ("false ? 1 : true ? 2 : 3", 2),
        ("null ?? false ? 1 : 2", 2),
        ("[\n  1\n  2, 3\n]", [1, 2, 3]),
        ("{ a: 1, 'b c': [], '${'d'}': null }", {"a": 1, "b c": [], "d": None}),
        ("{\n  a: 1 // one\n  /* two */\n  ...{ b: 2 }\n}", {"a": 1, "b": 2}),
        ("[...[1, 2], 3]", [1, 2, 3]),
        ("'${{ a: 1, ...{ b: 2 } }.b} ${[\n1]}'", "2 [1]"),
        ("'${null}|${{ a: true }}'", '|{"a":true}'),
        ("[1, 2, 3][^1]", 3),
        ("[1][?3]", None),
        ("{ a: { b: 1 } }.a.b", 1),
        ("{}.?a.?b ?? 'none'", "none"),
        ("{}.?a.b.c ?? 'none'", "none"),
        ("{ a: 1 }['a']", 1),
        ("'it\\'s \\u{41}\\n\\${x}'", "it's A\n${x}"),
        ("'''\nraw ${x} 'y'\n'''", "raw ${x} 'y'\n"),
        ("'a${1 + 1}b${'c${true}'}'", "a2bcTrue"),
        ("[for (name, i) in ['a', 'b']: '${name}${i}']", ["a0", "b1"]),
        ("true\n  ? 'yes'\n  : 'no'", "yes"),
    ],
)
def test_operators_and_literals_are_worth_what_they_are_in_bicep(expression: str, worth: object) -> None:
    assert value(expression) == worth


@pytest.mark.parametrize(
    ("expression", "worth"),
    [
        ("map(['a', 'b'], (x, i) => '${x}${i}')", ["a0", "b1"]),
        ("filter([1, 2, 3], n => n > 1)", [2, 3]),
        ("reduce([1, 2, 3], 10, (sum, n) => sum + n)", 16),
        ("sort([3, 1, 2], (a, b) => a < b)", [1, 2, 3]),
        ("toObject(['a', 'b'], x => x, x => toUpper(x))", {"a": "A", "b": "B"}),
        ("groupBy(['ab', 'ac', 'b'], x => first(x))", {"a": ["ab", "ac"], "b": ["b"]}),
        ("groupBy([1, 2, 3], n => '${n % 2}', n => n * 2)", {"1": [2, 6], "0": [4]}),
        ("reduce(['a', 'b'], '', (\n  // comment\n  sum,\n  next\n) => concat(sum, next))", "ab"),
        ("map([1], (n => n + 1))", [2]),
        ("mapValues({ a: 1 }, n => n + 1)", {"a": 2}),
        ("items({ b: 1, a: 2 })", [{"key": "a", "value": 2}, {"key": "b", "value": 1}]),
        ("union({ a: { x: 1 }, b: 1 }, { a: { y: 2 } })", {"a": {"x": 1, "y": 2}, "b": 1}),
        ("union([1, 2], [2, 3])", [1, 2, 3]),
        ("intersection([1, 2], [2, 3])", [2]),
        ("flatten([[1], [2, 3]])", [1, 2, 3]),
        ("contains({ a: 1 }, 'a') && contains('abc', 'b') && contains([1], 1)", True),
        ("empty('') && empty([]) && empty({}) && empty(null)", True),
        ("join(['a', 'b'], ', ')", "a, b"),
        ("split('a,b;c', [',', ';'])", ["a", "b", "c"]),
        ("replace('a-b-c', '-', '/')", "a/b/c"),
        ("format('{0}-{1}-{0}', 'a', 2)", "a-2-a"),
        ("take('abcdef', 3)", "abc"),
        ("skip([1, 2, 3], 1)", [2, 3]),
        ("length('abc') + length([1]) + length({ a: 1 })", 5),
        ("substring('abcdef', 1, 2)", "bc"),
        ("padLeft(7, 3, '0')", "007"),
        ("string({ a: [1, true] })", '{"a":[1,true]}'),
        ("string(true)", "True"),
        ("json('{\"a\": [1]}').a[0]", 1),
        ("int('7') + max(1, 3) + min([5, 2])", 12),
        ("range(2, 3)", [2, 3, 4]),
        ("cidrSubnet('10.40.0.0/20', 24, 3)", "10.40.3.0/24"),
        ("objectKeys({ b: 1, a: 2 })", ["a", "b"]),
        ("az.environment().suffixes.keyvaultDns", ".vault.azure.net"),
        ("base64ToString(base64('ä'))", "ä"),
        ("tryGet({ a: [1] }, 'a', 0)", 1),
        ("bool('true')", True),
        ("last(split('a/b', '/'))", "b"),
        ("any(1) + coalesce(null, 2)", 3),
        ("intersection({ a: 1, b: 2 }, { a: 1, b: 3 })", {"a": 1}),
        ("shallowMerge([{ a: { x: 1 } }, { a: 2 }])", {"a": 2}),
        ("[indexOf('aBc', 'B'), indexOf(['x', 'y'], 'y'), indexOf(['x'], 'z')]", [1, 1, -1]),
        ("[lastIndexOf('abcb', 'b'), lastIndexOf([1, 2, 1], 1), lastIndexOf([1], 2)]", [3, 2, -1]),
        ("bool(1) && !bool('false')", True),
        ("uri('https://a.example.org/x/', 'y')", "https://a.example.org/x/y"),
        ("uriComponent('a b/c')", "a%20b%2Fc"),
        ("uriComponentToString('a%20b')", "a b"),
        ("resourceGroup('other').name", "other"),
    ],
)
def test_functions_give_what_microsoft_documents(expression: str, worth: object) -> None:
    assert value(expression) == worth


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("unheard('x')", "text.bicep:2: unknown function 'unheard'"),
        ("nowhere", "'nowhere' is not defined"),
        ("{ a: 1 }.b", "there is no 'b'; there are a"),
        ("[1][1]", "there is no item 1"),
        ("1 + 'a'", "+ does not apply to 1 and 'a'"),
        ("1 / 0", "division by zero"),
        ("'a' && true", "&& does not apply to 'a'"),
        ("'a' ? 1 : 2", "a condition is true or false"),
        ("{ a: 1, a: 2 }", "'a' is there twice"),
        ("[...{}]", "cannot be spread into a list"),
        ("toObject([1, 1], n => 'k')", "two items have the key 'k'"),
        ("fail('not like this')", "not like this"),
        ("loadTextContent('missing.txt')", "there is no file missing.txt"),
        ("result", "'result' needs its own value"),
        ("substring('abc', 2, 5)", "has no 5 characters"),
        ("length(1)", "length: "),
        ("filter([1], n => subscription().id == 'x')", "is not known before the deployment"),
        ("bool('perhaps')", "'perhaps' is neither true nor false"),
        ("cidrSubnet('10.0.0.0/24', 25, 2)", "has 2 networks of /25, none at 2"),
        ("!'a'", "! does not apply to 'a'"),
        ("true && 'a'", "&& does not apply to 'a'"),
    ],
)
def test_what_has_no_value_is_refused_with_file_and_line(expression: str, problem: str) -> None:
    with pytest.raises(BicepError) as refused:
        value(expression)
    assert problem in str(refused.value)
    assert str(refused.value).startswith("text.bicep:2: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("var a = 'open", 1),
        ("var a = 1 var b = 2", 1),
        ("var a = [1 2]", 1),
        ("var a = {\n  b: 1 c: 2\n}", 2),
        ("var a = f(1\n2)", 2),
        ("var a = 1\n(2)", 2),
        ("var a = '${}'", 1),
        ("var a = 'x\\q'", 1),
        ("var a = §", 1),
        ("vra a = 1", 1),
        ("var a = 1\nvar a = 2", 2),
        ("resource a 'x/y@1' = 'text'", 1),
        ("param a = ", 1),
        ("var a = [for x ys: x]", 1),
        ("var a = (1 + 2", 2),
        ("var a = '${1'", 1),
    ],
)
def test_what_is_no_bicep_is_refused_at_its_line(text: str, line: int) -> None:
    with pytest.raises(BicepError) as refused:
        value("1", before=text)
    assert refused.value.place.line == line


def test_what_only_azure_knows_survives_whatever_is_done_with_it() -> None:
    url = value("'https://${subscription().id}/x'")
    assert str(url) == "https://[subscription().id]/x"
    assert isinstance(url, Template)
    whole = Symbol("subscription().id", path=("id",))
    assert value("replace('a-X-b', 'X', subscription().id)") == Template(("a-", whole, "-b"))
    assert str(value("toLower(tenant().tenantId)")) == "[toLower(tenant().tenantId)]"
    assert str(value("subscription().id == 'x' ? 1 : 2")) == "[subscription().id == 'x' ? 1 : 2]"
    assert value("empty('${subscription().id}-x')") is False
    assert str(value("contains([subscription().id], 'x')")).startswith("[contains(")
    assert value("contains(['x', subscription().id], 'x')") is True
    assert str(value("subscription().tags['a']")) == "[subscription().tags.a]"
    assert str(value("!subscription().ready && true")) == "[!subscription().ready && true]"
    assert str(value("subscription().count + 1")) == "[subscription().count + 1]"
    assert str(value("replace('${subscription().id}-x', 'x', 'y')")) == "[subscription().id]-y"
    assert str(value("toUpper('${subscription().id}-x')")) == "[toUpper('${subscription().id}-x')]"
    assert str(value("['a'][length(subscription().tags)]")) == "[[…][length(subscription().tags)]]"
    assert str(value("string({ a: subscription().id })")) == '{"a":"[subscription().id]"}'


def test_names_that_follow_from_what_azure_knows_are_as_long_as_azures_and_differ_where_they_do() -> None:
    first, same, other = (value(f"uniqueString(subscription().id, '{name}')") for name in ("a", "a", "b"))
    assert (len(first), first == same, first == other) == (13, True, False)
    assert len(value("guid(subscription().id)")) == 36


def test_files_are_read_from_beside_the_bicep_file(tmp_path: Path) -> None:
    (tmp_path / "queues.json").write_text(json.dumps({"queues": [{"name": "payments"}]}))
    assert value("loadJsonContent('queues.json', '$.queues')[0].name", folder=tmp_path) == "payments"
    assert value("json(loadTextContent('queues.json'))", folder=tmp_path) == {"queues": [{"name": "payments"}]}
    assert value("base64ToString(loadFileAsBase64('queues.json'))", folder=tmp_path).startswith('{"queues"')
    with pytest.raises(BicepError, match="only names can be followed"):
        value("loadJsonContent('queues.json', '$.queues[*]')", folder=tmp_path)


def test_a_loop_over_what_only_azure_knows_is_refused() -> None:
    with pytest.raises(BicepError, match="a list that is known"):
        value("[for x in subscription().tags: x]")


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n\r")))
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    assert value(f"'{escaped}'") == text


@given(st.lists(st.tuples(st.sampled_from("+-*"), NUMBERS), max_size=8), NUMBERS)
def test_sums_and_products_bind_as_everywhere(rest: list[tuple[str, int]], first: int) -> None:
    expression = " ".join([str(first), *(f"{sign} {number}" for sign, number in rest)])
    assert value(expression) == eval(expression)  # noqa: S307


@given(st.lists(st.tuples(st.sampled_from(["&&", "||", "=="]), st.booleans()), max_size=6), st.booleans())
def test_logic_binds_as_everywhere(rest: list[tuple[str, bool]], first: bool) -> None:
    expression = " ".join([str(first).lower(), *(f"{sign} {str(each).lower()}" for sign, each in rest)])
    # Python chains comparisons, Bicep does not.
    python = " or ".join(
        " and ".join(_equal(part.split(" == ")) for part in each.split(" && ")) for each in expression.split(" || ")
    )
    assert value(expression) == eval(python, {"true": True, "false": False})  # noqa: S307


def _equal(terms: list[str]) -> str:
    worth = terms[0]
    for term in terms[1:]:
        worth = f"({worth} == {term})"
    return worth
