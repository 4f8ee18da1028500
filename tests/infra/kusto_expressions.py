"""The expressions of the Kusto language that our queries use, read from tokens; `kusto.py` reads the rest."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.infra import kusto_values as values
from tests.infra.kusto_values import ARGUMENTS, COMPARISONS, Expression, Origin, Row

type Scope = Mapping[str, Origin]
type Rows = Sequence[Row]
type Step = Callable[[Rows], Rows]

_TOKEN: Final = re.compile(
    r"(?P<skip>\s+|//[^\n]*)|(?P<text>\"[^\"\n]*\")|(?P<number>\d+(?:\.\d+)?[smhd]?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|=~|[-+*/<>=|,;().])"
)


class QueryRefused(ValueError):
    """What was read is not of our part of the language, or speaks of what is not there."""


@dataclass(slots=True)
class Pipeline:
    """What one pipeline of a query asks.

    :param name: under which others may ask it, if it has one
    :param sources: the tables and pipelines it begins with
    :param compared: texts that what came from somewhere is compared with
    :param read: whatever of a table is looked at
    :param columns: what it gives
    """

    name: str = ""
    sources: list[str] = field(default_factory=list)
    tables: set[str] = field(default_factory=set)
    compared: set[tuple[Origin, str]] = field(default_factory=set)
    read: set[Origin] = field(default_factory=set)
    columns: Scope = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)


def tokens_of(query: str) -> list[str]:
    found, place = [], 0
    while place < len(query):
        token = _TOKEN.match(query, place)
        if token is None:
            raise QueryRefused(f"{query[place : place + 20]!r} is nothing we know")
        place = token.end()
        if token.lastgroup != "skip":
            found.append(token.group())
    return found


def _is_word(token: str) -> bool:
    return re.fullmatch(r"[A-Za-z_]\w*", token) is not None


class Expressions:
    """Recursive descent over the tokens of a query: one method a rule."""

    def __init__(self, query: str) -> None:
        self._tokens, self._place = [*tokens_of(query), ""], 0
        self._constants: dict[str, Expression] = {}
        self._now = Pipeline()

    def _either(self) -> Expression:
        return self._joined({"or"}, lambda: self._joined({"and"}, self._comparison))

    def _comparison(self) -> Expression:
        left = self._sum()
        if self._peek() not in COMPARISONS:
            return left
        sign = self._next()
        if sign != "in":
            return values.compared(sign, left, [self._other(left)])
        self._expect("(")
        others = self._listed(lambda: self._other(left))
        self._expect(")")
        return values.compared(sign, left, others)

    def _other(self, left: Expression) -> Expression:
        """What `left` is compared with."""
        written = self._peek()
        if left.origin and written.startswith('"'):
            self._now.compared.add((left.origin, written[1:-1]))
        return self._sum()

    def _sum(self) -> Expression:
        return self._joined({"+", "-"}, lambda: self._joined({"*", "/"}, self._reached))

    def _joined(self, signs: set[str], part: Callable[[], Expression]) -> Expression:
        found = part()
        while self._peek() in signs:
            found = values.joined(self._next(), found, part())
        return found

    def _reached(self) -> Expression:
        """A value, or what lies in it: `Properties.queue`."""
        found = self._value()
        while self._take("."):
            if not found.origin:
                raise QueryRefused("a part of what was computed")
            found = values.part(found, self._word())
            self._now.read.add(found.origin)
        return found

    def _value(self) -> Expression:
        token = self._next()
        if token in self._constants:
            return self._constants[token]
        if token[:1] == '"' or token in {"true", "false"}:
            return values.constant(token[1:-1] if token[:1] == '"' else token == "true")
        if token[:1].isdecimal():
            return values.constant(values.number(token))
        if token == "(":
            found = self._either()
            self._expect(")")
            return found
        if not _is_word(token):
            raise QueryRefused(f"{token!r} stands where a value should")
        return self._call(token) if self._peek() == "(" else self._column(token)

    def _call(self, name: str) -> Expression:
        if name not in ARGUMENTS:
            raise QueryRefused(f"the function {name!r}")
        self._expect("(")
        given = [] if self._peek() == ")" else self._listed(self._either)
        self._expect(")")
        if len(given) not in ARGUMENTS[name]:
            raise QueryRefused(f"{name} takes {ARGUMENTS[name]} arguments, not {len(given)}")
        return values.called(name, given)

    def _column(self, name: str) -> Expression:
        if name not in self._now.columns:
            raise QueryRefused(f"the column {name!r}")
        origin = self._now.columns[name]
        if origin:
            self._now.read.add(origin)
        return Expression(origin, lambda row, _: row.get(name))

    def _listed[T](self, part: Callable[[], T]) -> list[T]:
        found = [part()]
        while self._take(","):
            found.append(part())
        return found

    def _peek(self) -> str:
        return self._tokens[self._place]

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise QueryRefused("it ends too early")
        self._place += 1
        return token

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._place += 1
        return True

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise QueryRefused(f"{self._peek()!r} stands where {token!r} should")

    def _word(self) -> str:
        token = self._next()
        if not _is_word(token):
            raise QueryRefused(f"{token!r} is no name")
        return token
