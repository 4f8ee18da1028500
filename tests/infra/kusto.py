"""Reads the part of the Kusto language that our queries are written in, answers it, and refuses everything else.

It knows which columns there are after each step, and follows each to where it comes from: so what a query compares and
reads can be held against what our telemetry sends, and the query be asked of it. Microsoft's own parser reads the
queries in `make foreign`. The language: https://learn.microsoft.com/kusto/query/
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.infra.kusto_expressions import Expressions, Pipeline, QueryRefused, Rows, Scope, Step
from tests.infra.kusto_values import AGGREGATES, Expression, Origin, Row

type Tables = Mapping[str, Scope]

OPERATORS_MAX: Final = 20  # of one pipeline


def read(query: str, tables: Tables) -> list[Pipeline]:
    """The pipelines of a query, those it names first.

    :param tables: their columns, each with where it comes from
    :raises QueryRefused: it cannot be read, or speaks of a table, column or function that is not there
    """
    return _Reader(query, tables).statements()


def answer(query: str, tables: Tables, rows: Mapping[str, Rows]) -> Rows:
    """What a query gives, asked of these rows.

    :param rows: by table; of a table that is not among them there are none
    :raises QueryRefused: as `read`
    """
    found: dict[str, Rows] = dict(rows)
    given: Rows = []
    for asked in read(query, tables):
        given = [row for source in asked.sources for row in found.get(source, [])]
        for step in asked.steps:
            given = step(given)
        found[asked.name] = given
    return given


def columns_of(tables: Mapping[str, Mapping[str, str]]) -> Tables:
    """Tables for `read`: each column comes from itself."""
    return {name: {column: (name, column) for column in columns} for name, columns in tables.items()}


class _Reader(Expressions):
    """Statements and the operators of pipelines."""

    def __init__(self, query: str, tables: Tables) -> None:
        super().__init__(query)
        self._tables: dict[str, Scope] = dict(tables)
        self._of: dict[str, Pipeline] = {}

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
            self._constants[name] = self._value()
            return
        self._of[name] = self._pipeline()
        self._of[name].name = name
        self._tables[name] = self._of[name].columns

    def _pipeline(self) -> Pipeline:
        now = self._now = Pipeline()
        now.columns = self._source()
        while self._take("|"):
            name = self._word()
            step = self._operators().get(name)
            if step is None or len(now.steps) >= OPERATORS_MAX:
                raise QueryRefused(f"the operator {name!r}")
            now.steps.append(step())
        return now

    def _operators(self) -> Mapping[str, Callable[[], Step]]:
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
        self._now.sources = names
        return columns

    def _where(self) -> Step:
        condition = self._either()
        return lambda rows: [row for row in rows if condition.of(row, ())]

    def _extend(self) -> Step:
        named = self._named()
        self._now.columns = {**self._now.columns, **{name: each.origin for name, each in named.items()}}
        return lambda rows: [{**row, **{name: each.of(row, ()) for name, each in named.items()}} for row in rows]

    def _project(self) -> Step:
        named = self._named()
        self._now.columns = {name: each.origin for name, each in named.items()}
        return lambda rows: [{name: each.of(row, ()) for name, each in named.items()} for row in rows]

    def _summarize(self) -> Step:
        sums = self._named(aggregate=True)
        keys = self._named() if self._take("by") else {}
        self._now.columns = {name: each.origin for name, each in {**keys, **sums}.items()}

        def step(rows: Rows) -> Rows:
            groups: dict[tuple[Any, ...], list[Row]] = {} if keys else {(): []}
            for row in rows:
                groups.setdefault(tuple(each.of(row, ()) for each in keys.values()), []).append(row)
            return [
                {**dict(zip(keys, key, strict=True)), **{name: each.of({}, group) for name, each in sums.items()}}
                for key, group in groups.items()
            ]

        return step

    def _order(self) -> Step:
        self._expect("by")
        [(column, descending)] = self._listed(self._sorted)
        return lambda rows: sorted(rows, key=lambda row: row[column], reverse=descending)

    def _top(self) -> Step:
        number = self._next()
        if not number.isdecimal():
            raise QueryRefused("top of how many?")
        order = self._order()
        return lambda rows: order(rows)[: int(number)]

    def _sorted(self) -> tuple[str, bool]:
        column = self._word()
        self._column(column)
        if self._peek() not in {"asc", "desc"}:
            raise QueryRefused("asc or desc is to be said")
        return column, self._next() == "desc"

    def _named(self, *, aggregate: bool = False) -> dict[str, Expression]:
        """Columns: each `name = expression`, a column, or `bin(column, …)`, which keeps its name."""
        found: dict[str, Expression] = {}

        def one() -> None:
            name = self._word() if self._tokens[self._place + 1] == "=" else ""
            if name:
                self._expect("=")
            begin = self._place
            expression = self._either()
            written = self._tokens[begin : self._place]
            if aggregate and AGGREGATES.keys().isdisjoint(written):
                raise QueryRefused(f"{' '.join(written)!r} adds nothing up")
            if not name:
                if len(written) > 1 and written[0] != "bin":
                    raise QueryRefused(f"{' '.join(written)!r} has no name")
                name = written[2] if written[0] == "bin" else written[0]
            found[name] = expression

        self._listed(one)
        return found
