"""Bicep's types: what a value must be, reached by names, members and items, and what is refused."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.support.bicep import Folder
from tools.bicep.errors import BicepError

TYPES = dedent("""
    @export()
    type size = {
      @minLength(3)
      name: string
      'memory-mb': | 512
        | 2048
      tags: { *: string }?
      parts: (int | 'none')[]
      flag: true
    }
    type name = size.name
    type part = size.parts[*]
    type sizes = size[]
    type again = sizes[*].name
    type shape = resourceInput<'Microsoft.Web/sites@2024-11-01'>.properties
""")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("declared", "given"),
    [
        ("size", {"name": "abc", "memory-mb": 512, "parts": [1, "none"], "flag": True}),
        ("size", {"name": "abc", "memory-mb": 2048, "parts": [], "flag": True, "tags": {"a": "b"}}),
        ("name", "abc"),
        ("part", "none"),
        ("again", "abcd"),
        ("shape", {"anything": [1]}),
        ("any", [None]),
        ("string?", None),
        ("(string | null)[]", ["a", None]),
        ("-1 | 0 | 1", -1),
    ],
)
def test_a_value_of_the_type_is_taken(folder: Folder, declared: str, given: object) -> None:
    folder.deployed(f"{TYPES}param p {declared}", p=given)


@pytest.mark.parametrize(
    ("declared", "given", "problem"),
    [
        ("size", {"name": "ab", "memory-mb": 512, "parts": [], "flag": True}, ".name: 'ab' breaks @minLength(3)"),
        ("size", {"name": "abc", "memory-mb": 1, "parts": [], "flag": True}, ".memory-mb: 1 is none of 512, 2048"),
        (
            "size",
            {"name": "abc", "memory-mb": 512, "parts": ["x"], "flag": True},
            ".parts: [0]: 'x' is none of int, 'none'",
        ),
        ("size", {"name": "abc", "memory-mb": 512, "parts": [], "flag": 1}, ".flag: 1 is not true"),
        (
            "size",
            {"name": "abc", "memory-mb": 512, "parts": [], "flag": True, "tags": {"a": 1}},
            ".tags: .a: 1 is no string",
        ),
        ("size", "abc", "'abc' is no object"),
        ("part", "some", "'some' is none of"),
        ("again", 1, "1 is no string"),
        ("name", "ab", "breaks @minLength(3)"),
        ("size.colour", "red", "type 'size.colour' has no 'colour'"),
        ("string", None, "parameter 'p' has no value"),
    ],
)
def test_another_value_is_refused(folder: Folder, declared: str, given: object, problem: str) -> None:
    with pytest.raises(BicepError) as refused:
        folder.deployed(f"{TYPES}param p {declared}", p=given)
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("type a = '${1}'", "a type is not interpolated"),
        ("type a = { '${1}': int }", "this name is not interpolated"),
        ("type a = =", "expected a type"),
        ("@description\nparam a string", "expected a decorator with its parentheses"),
        ("@minLength('two')\nparam p string", "@minLength() takes a number"),
        ("import * from 'x.bicep'", "expected 'as'"),
        ("import { a } 'x.bicep'", "expected 'from'"),
        ("module m '${1}.bicep' = {}", "this text is not interpolated"),
        ("var a = '${1 2}'", "expected the end of an interpolation"),
        ("var a = '${{}", "an interpolation is not closed"),
        ("var a = { '${1}': 2 }\nvar b = [if (true) { }]", "expected a comma"),
        ("resource r 'A.B/c@1' = { name: 'a', scope: 'text' }", "the scope of a resource is a resource or a group"),
        ("resource r 'A.B/c/d@1' = { name: 'a', parent: 'text' }", "the parent of a resource is a resource"),
    ],
)
def test_what_is_no_type_no_import_and_no_place_is_refused(folder: Folder, text: str, problem: str) -> None:
    with pytest.raises(BicepError, match=r"main\.bicep:\d+: ") as refused:
        folder.deployed(text, **({"p": "x"} if "param p" in text else {}))
    assert problem in str(refused.value)


def test_what_only_azure_knows_is_a_text_where_it_is_put_together_and_anything_where_it_is_whole(
    folder: Folder,
) -> None:
    folder.write("type text = string?\nparam a int\nparam b text\nparam c { d: any }", "inner.bicep")
    text = (
        "module m 'inner.bicep' = {{ params: {{ a: {0}, b: 'x-${{subscription().id}}', c: {{ d: subscription() }} }} }}"
    )

    folder.deployed(text.format("subscription().count"))

    with pytest.raises(BicepError, match=r"parameter 'a': 'x-\$\{subscription\(\)\.id\}' is a text"):
        folder.deployed(text.format("'x-${subscription().id}'"))


@pytest.mark.parametrize(
    ("declared", "given", "problem"),
    [
        ("string", 1, "1 is no string"),
        ("int", True, "true is no int"),
        ("'dev' | 'prod'", "test", "'test' is none of 'dev', 'prod'"),
        ("string[]", ["a", 1], "[1]: 1 is no string"),
        ("{ a: string, b: int? }", {"b": 1}, "'a' is missing"),
        ("{ a: string }", {"a": "x", "c": 1}, "'c' is not one of its properties, a"),
        ("{ a: string, *: int }", {"a": "x", "c": "y"}, ".c: 'y' is no int"),
        ("[int, string]", [1], "it has 1 items, not 2"),
        ("512 | 2048", 1024, "1024 is none of 512, 2048"),
        ("object", [], "[] is no object"),
        ("bool[]?", "x", "'x' is no array"),
        ("unheard", "x", "unknown type 'unheard'"),
    ],
)
def test_a_parameter_of_another_type_is_refused(folder: Folder, declared: str, given: object, problem: str) -> None:
    with pytest.raises(BicepError) as refused:
        folder.deployed(f"\nparam p {declared}", p=given)
    assert problem in str(refused.value)
    assert refused.value.place.line == 2


@pytest.mark.parametrize(
    ("decorator", "given", "accepted"),
    [
        ("@minLength(2)", "a", False),
        ("@maxLength(2)", ["a", "b"], True),
        ("@minValue(1)\n@maxValue(5)", 6, False),
        ("@minValue(1)\n@maxValue(5)", 5, True),
        ("@allowed(['a', 'b'])", "c", False),
        ("@sys.allowed(['a', 'b'])", "b", True),
    ],
)
def test_decorators_bound_a_parameter(folder: Folder, decorator: str, given: object, accepted: bool) -> None:
    kind = {str: "string", list: "string[]", int: "int"}[type(given)]
    text = f"{decorator}\nparam p {kind}"
    if accepted:
        folder.deployed(text, p=given)
        return
    with pytest.raises(BicepError, match="parameter 'p'"):
        folder.deployed(text, p=given)
