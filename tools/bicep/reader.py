"""The reader of files: `.bicep` and `.bicepparam`.

The grammar of `tree-sitter-bicep` knows neither newlines (a line that begins with a parenthesis becomes a call of the
line before) nor `...` nor parameter files, so this is a reader of our own. The tests let both read every file.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

from tools.bicep.errors import BicepError, Place
from tools.bicep.lexer import tokens
from tools.bicep.statements import (
    Assignment,
    Declaration,
    Function,
    Import,
    Module,
    Output,
    Parameter,
    Resource,
    Source,
    TypeDeclaration,
    Variable,
)  # fmt: skip
from tools.bicep.syntax import Call, Expression, For, If, Literal, Object, Property, Spread
from tools.bicep.type_reader import TypeReader
from tools.bicep.type_syntax import Type


def read(path: Path) -> Source:
    """The tree of a file.

    :raises BicepError: it is not there, or not Bicep
    """
    try:
        return parse(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError as gone:
        raise BicepError(Place(path, 1), "there is no such file") from gone


@cache
def parse(text: str, path: Path) -> Source:
    """The tree of a text, which is said to be in a file.

    :raises BicepError: it is not Bicep
    """
    return _FileReader(text, path).source()


class _FileReader(TypeReader):
    def __init__(self, text: str, path: Path) -> None:
        super().__init__(tokens(text, path))
        self._source = Source(path)
        self._declarations: list[Declaration] = []

    def source(self) -> Source:
        pragmas = tuple((token.place, token.text) for token in self._tokens if token.kind == "pragma")
        self.newlines()
        while self.peek().kind != "end":
            self._statement()
            if not self.newlines() and self.peek().kind != "end":
                self.refuse("expected a new line after a statement")
        return replace(self._source, declarations=tuple(self._declarations), pragmas=pragmas)

    def _statement(self) -> None:
        decorators = self.decorators()
        place = self.place
        word = self.word()
        if word in {"targetScope", "using", "import", "metadata", "assert"}:
            self._setting(word, place)
            return
        declare = {
            "param": self._parameter, "var": self._variable, "type": self._type_declaration, "func": self._function,
            "resource": self.resource, "module": self._module, "output": self._output,
        }.get(word)  # fmt: skip
        if declare is None:
            raise BicepError(place, f"unknown statement {word!r}")
        declared = declare(place, decorators)
        twin = next((each for each in self._declarations if _clashes(each, declared)), None)
        if twin is not None:
            raise BicepError(place, f"{declared.name!r} is declared already, in line {twin.place.line}")
        self._declarations.append(declared)

    def _setting(self, word: str, place: Place) -> None:
        if word == "import":
            self._source = replace(self._source, imports=(*self._source.imports, self._import(place)))
        elif word == "using":
            self._source = replace(self._source, using=self._path())
        elif word == "targetScope":
            self.expect("=")
            self._source = replace(self._source, target_scope=self._path())
        else:
            name = self.word()
            self.expect("=")
            value = self.expression()
            if word == "assert":
                self._source = replace(self._source, asserts=(*self._source.asserts, (name, value)))

    def _import(self, place: Place) -> Import:
        names: list[tuple[str, str]] = []
        if self.accept("*"):
            names.append(("*", self._alias("*")))
        else:
            self.expect("{")
            self.newlines()
            while not self.accept("}"):
                name = self.word()
                names.append((name, self._alias(name)))
                self._separated("}")
        if not self.sees_word("from"):
            self.refuse("expected 'from'")
        self.take()
        return Import(place, tuple(names), self._path())

    def _alias(self, name: str) -> str:
        if self.sees_word("as"):
            self.take()
            return self.word()
        if name == "*":
            self.refuse("expected 'as'")
        return name

    def _path(self) -> str:
        literal = self.string()
        if not isinstance(literal, Literal):
            raise BicepError(literal.place, "this text is not interpolated")
        return str(literal.value)

    def _parameter(self, place: Place, decorators: tuple[Call, ...]) -> Declaration:
        name = self.word()
        if self.accept("="):
            return Assignment(place, name, decorators, self.expression())
        declared = self.type()
        default = self.expression() if self.accept("=") else None
        return Parameter(place, name, decorators, declared, default)

    def _variable(self, place: Place, decorators: tuple[Call, ...]) -> Variable:
        name = self.word()
        if not self.sees("="):
            self.type()
        self.expect("=")
        return Variable(place, name, decorators, self.expression())

    def _type_declaration(self, place: Place, decorators: tuple[Call, ...]) -> TypeDeclaration:
        name = self.word()
        self.expect("=")
        return TypeDeclaration(place, name, decorators, self.type())

    def _function(self, place: Place, decorators: tuple[Call, ...]) -> Function:
        name = self.word()
        self.expect("(")
        self.newlines()
        parameters: list[tuple[str, Type]] = []
        while not self.accept(")"):
            parameters.append((self.word(), self.type()))
            self._separated(")")
        returns = self.type()
        self.expect("=>")
        self.newlines()
        return Function(place, name, decorators, tuple(parameters), returns, self.expression())

    def resource(self, place: Place, decorators: tuple[Call, ...]) -> Resource:
        """What follows the word `resource`."""
        name = self.word()
        kind = self._path()
        existing = self.sees_word("existing")
        if existing:
            self.take()
        self.expect("=")
        self.newlines()
        body = self._body()
        return Resource(place, name, decorators, kind, existing, body)

    def _module(self, place: Place, decorators: tuple[Call, ...]) -> Module:
        name, path = self.word(), self._path()
        self.expect("=")
        self.newlines()
        return Module(place, name, decorators, path, self._body())

    def _output(self, place: Place, decorators: tuple[Call, ...]) -> Output:
        name = self.word()
        declared = self.type()
        self.expect("=")
        return Output(place, name, decorators, declared, self.expression())

    def _body(self) -> Expression:
        body = self.conditional()
        inner = body.body if isinstance(body, For) else body
        inner = inner.body if isinstance(inner, If) else inner
        if not isinstance(inner, Object):
            raise BicepError(body.place, "the body of a resource or module is an object, with 'for' or 'if' before it")
        return body

    def object(self) -> Object:
        """`{…}`, in which resources may be declared."""
        place = self.expect("{").place
        properties: list[Property | Spread] = []
        resources: list[Resource] = []
        self.newlines()
        while not self.accept("}"):
            decorators = self.decorators()
            if self.sees_word("resource") and self.peek(1).kind == "name" and self.peek(2).kind == "string":
                here = self.take().place
                resources.append(self.resource(here, decorators))
            else:
                properties.append(self._spread() or self._property())
            self._separated("}")
        return Object(place, tuple(properties), tuple(resources))


def _clashes(one: Declaration, other: Declaration) -> bool:
    """Outputs have names of their own; everything else shares one set of names."""
    return one.name == other.name and isinstance(one, Output) == isinstance(other, Output)
