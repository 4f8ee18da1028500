"""Reads the part of the Kusto language that our queries are written in, and refuses everything else.

It knows which columns there are after each step, and follows each to where it comes from: so what a query compares and
reads can be held against what our telemetry sends. Microsoft's own parser reads the queries in `make foreign`.
The language: https://learn.microsoft.com/kusto/query/
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

type Origin = tuple[str, ...]  # a table, its column, and the keys within it; empty: computed
type Scope = Mapping[str, Origin]
type Tables = Mapping[str, Scope]

OPERATORS_MAX: Final = 20  # of one pipeline
COMPARISONS: Final = frozenset({
    "==", "!=", "<", "<=", ">", ">=", "=~", "contains", "startswith", "endswith", "in",
})  # fmt: skip
FUNCTIONS: Final[Mapping[str, tuple[int, ...]]] = {  # by how many arguments
    "bin": (2,), "count": (0,), "countif": (1,), "dcount": (1,), "iff": (3,), "isnotempty": (1,), "max": (1,),
    "min": (1,), "parse_json": (1,), "percentilew": (3,), "round": (1, 2), "sum": (1,), "sumif": (2,),
    "todouble": (1,), "tostring": (1,),
}  # fmt: skip
AGGREGATES: Final = frozenset({"count", "countif", "dcount", "max", "min", "percentilew", "sum", "sumif"})
SAME_VALUE: Final = frozenset({"tostring", "todouble", "parse_json", "bin"})  # as far as names go
_TOKEN: Final = re.compile(
    r"(?P<skip>\s+|//[^\n]*)|(?P<text>\"[^\"\n]*\")|(?P<number>\d+(?:\.\d+)?(?P<unit>[smhd])?)"
    r"|(?P<word>[A-Za-z_]\w*)|(?P<sign>==|!=|<=|>=|=~|[-+*/<>=|,;().])"
)


class QueryRefused(ValueError):
    """What was read is not of our part of the language, or speaks of what is not there."""


@dataclass(slots=True)
class Pipeline:
    """What one pipeline of a query asks.

    :param compared: texts that what came from somewhere is compared with
    :param read: whatever of a table is looked at
    :param columns: what it gives
    """

    tables: set[str] = field(default_factory=set)
    compared: set[tuple[Origin, str]] = field(default_factory=set)
    read: set[Origin] = field(default_factory=set)
    columns: Scope = field(default_factory=dict)
    operators: list[str] = field(default_factory=list)


def read(query: str, tables: Tables) -> list[Pipeline]:
    """The pipelines of a query, those it names first.

    :param tables: their columns, each with where it comes from
    :raises QueryRefused: it cannot be read, or speaks of a table, column or function that is not there
    """
    return _Reader(_tokens(query), tables).statements()


def columns_of(tables: Mapping[str, Mapping[str, str]]) -> Tables:
    """Tables for `read`: each column comes from itself."""
    return {name: {column: (name, column) for column in columns} for name, columns in tables.items()}


def _tokens(query: str) -> list[str]:
    found, place = [], 0
    while place < len(query):
        token = _TOKEN.match(query, place)
        if token is None:
            raise QueryRefused(f"{query[place : place + 20]!r} is nothing we know")
        place = token.end()
        if token.lastgroup != "skip":
            found.append(token.group())
    return found


class _Reader:
    """Recursive descent: one method a rule."""

    def __init__(self, tokens: list[str], tables: Tables) -> None:
        self._tokens, self._place = [*tokens, ""], 0
        self._tables: dict[str, Scope] = dict(tables)
        self._values: set[str] = set()
        self._of: dict[str, Pipeline] = {}
        self._now = Pipeline()

    def statements(self) -> list[Pipeline]:
        found = []
        while self._peek():
            if self._take("let"):
                self._let()
            else:
                found.append(self._pipeline())
            if not self._take(";") and self._peek():
                raise QueryRefused(f"{self._peek()!r} stands where a statement should end")
        if not found:
            raise QueryRefused("nothing is asked")
        return [*self._of.values(), *found]

    def _let(self) -> None:
        name = self._word()
        self._expect("=")
        if self._peek()[:1] in '"0123456789':
            self._next()
            self._values.add(name)
            return
        self._of[name] = self._pipeline()
        self._tables[name] = self._of[name].columns

    def _pipeline(self) -> Pipeline:
        self._now = Pipeline()
        self._now.columns = self._source()
        while self._take("|"):
            name = self._word()
            step = self._steps().get(name)
            if step is None or len(self._now.operators) >= OPERATORS_MAX:
                raise QueryRefused(f"the operator {name!r}")
            self._now.operators.append(name)
            step()
        return self._now

    def _steps(self) -> Mapping[str, Callable[[], None]]:
        return {
            "where": self._where, "extend": self._extend, "project": self._project, "summarize": self._summarize,
            "order": self._order, "top": self._top,
        }  # fmt: skip

    def _source(self) -> Scope:
        names = [self._word()]
        if names == ["union"]:
            names = self._listed(self._word)
        columns: dict[str, Origin] = {}
        for name in names:
            if name not in self._tables:
                raise QueryRefused(f"the table {name!r}")
            if name not in self._of:
                self._now.tables.add(name)
            columns |= {column: origin for column, origin in self._tables[name].items() if column not in columns}
        return columns

    def _where(self) -> None:
        self._either()

    def _extend(self) -> None:
        self._now.columns = {**self._now.columns, **self._named()}

    def _project(self) -> None:
        self._now.columns = self._named()

    def _summarize(self) -> None:
        self._now.columns = {**self._named(aggregate=True), **(self._named() if self._take("by") else {})}

    def _order(self) -> None:
        self._expect("by")
        self._listed(self._sorted)

    def _top(self) -> None:
        if not self._next().isdecimal():
            raise QueryRefused("top of how many?")
        self._expect("by")
        self._sorted()

    def _sorted(self) -> None:
        self._column(self._word())
        if self._peek() not in {"asc", "desc"}:
            raise QueryRefused("asc or desc is to be said")
        self._next()

    def _named(self, *, aggregate: bool = False) -> dict[str, Origin]:
        """Columns: each `name = expression`, a column, or `bin(column, …)`, which keeps its name."""
        found: dict[str, Origin] = {}

        def one() -> None:
            name = self._word() if self._tokens[self._place + 1] == "=" else ""
            if name:
                self._expect("=")
            begin = self._place
            origin = self._either()
            written = self._tokens[begin : self._place]
            if aggregate and AGGREGATES.isdisjoint(written):
                raise QueryRefused(f"{' '.join(written)!r} adds nothing up")
            if not name:
                name = written[2] if written[0] == "bin" else written[0]
                if len(written) > 1 and written[0] != "bin":
                    raise QueryRefused(f"{' '.join(written)!r} has no name")
            found[name] = origin

        self._listed(one)
        return found

    def _either(self) -> Origin:
        return self._joined({"or"}, lambda: self._joined({"and"}, self._comparison))

    def _comparison(self) -> Origin:
        left = self._joined({"+", "-"}, lambda: self._joined({"*", "/"}, self._reached))
        if self._peek() not in COMPARISONS:
            return left
        if self._next() != "in":
            self._compare(left)
            return ()
        self._expect("(")
        self._listed(lambda: self._compare(left))
        self._expect(")")
        return ()

    def _compare(self, left: Origin) -> None:
        begin = self._place
        self._joined({"+", "-"}, self._reached)
        written = self._tokens[begin]
        if left and written.startswith('"'):
            self._now.compared.add((left, written[1:-1]))

    def _joined[T](self, signs: set[str], part: Callable[[], Origin]) -> Origin:
        origin = part()
        while self._peek() in signs:
            self._next()
            part()
            origin = ()
        return origin

    def _reached(self) -> Origin:
        """A value, or what lies in it: `Properties.queue`."""
        origin = self._value()
        while self._take("."):
            if not origin:
                raise QueryRefused("a part of what was computed")
            origin = (*origin, self._word())
            self._now.read.add(origin)
        return origin

    def _value(self) -> Origin:
        token = self._next()
        if token[:1] == '"' or token[:1].isdecimal() or token in {"true", "false"} or token in self._values:
            return ()
        if token == "(":
            origin = self._either()
            self._expect(")")
            return origin
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise QueryRefused(f"{token!r} stands where a value should")
        return self._call(token) if self._peek() == "(" else self._column(token)

    def _call(self, name: str) -> Origin:
        if name not in FUNCTIONS:
            raise QueryRefused(f"the function {name!r}")
        self._expect("(")
        given = [] if self._peek() == ")" else self._listed(self._either)
        self._expect(")")
        if len(given) not in FUNCTIONS[name]:
            raise QueryRefused(f"{name} takes {FUNCTIONS[name]} arguments, not {len(given)}")
        return given[0] if name in SAME_VALUE else ()

    def _column(self, name: str) -> Origin:
        if name not in self._now.columns:
            raise QueryRefused(f"the column {name!r}")
        origin = self._now.columns[name]
        if origin:
            self._now.read.add(origin)
        return origin

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
        if not re.fullmatch(r"[A-Za-z_]\w*", token):
            raise QueryRefused(f"{token!r} is no name")
        return token
