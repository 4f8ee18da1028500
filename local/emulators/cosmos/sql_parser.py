"""Reads Cosmos DB's SQL, as much of it as a careful client needs.

    query      = SELECT [TOP n] ( "*" | VALUE expr | expr [[AS] name] {"," ...} ) FROM name [[AS] name]
                 [WHERE expr] [GROUP BY expr {"," expr}] [ORDER BY path [ASC|DESC] {"," ...}] [OFFSET n LIMIT n]
    expr       = and {OR and};  and = not {AND not};  not = NOT primary | comparison
    comparison = primary [ (= != <> < <= > >=) primary | IN (expr, ...) ]
    primary    = literal | @parameter | path | FUNCTION(expr, ...) | (expr) | [expr, ...] | {"name": expr, ...}
    path       = name { .name | ["name"] | [0] }

https://learn.microsoft.com/azure/cosmos-db/nosql/query/. A mistake answers 400 with SC1001, as Cosmos DB does; what is
right and not served here answers 501 with its name.
"""

from collections.abc import Callable
from typing import Any, Final

from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.sql_cursor import Cursor
from local.emulators.cosmos.sql_evaluation import FUNCTIONS, compiled
from local.emulators.cosmos.sql_lexer import Token, syntax_error
from local.emulators.cosmos.sql_tree import (
    Array,
    Binary,
    Call,
    Count,
    Expression,
    Literal,
    Not,
    Object,
    Ordered,
    Parameter,
    Path,
    Query,
    Selected,
    chained,
    check_depth,
    check_grouping,
    counts_in,
)

_COMPARISONS: Final = frozenset({"=", "!=", "<>", "<", "<=", ">", ">="})
_OTHER_OPERATORS: Final = frozenset({"+", "-", "*", "/", "%", "&", "|", "^", "~", "||", "??", "?"})
_OTHER_KEYWORDS: Final = frozenset({"BETWEEN", "LIKE", "EXISTS", "ARRAY", "UDF"})
_CONSTANTS: Final = {"TRUE": True, "FALSE": False, "NULL": None}
_AGGREGATES: Final = frozenset({"SUM", "AVG", "MIN", "MAX"})


def parse_query(text: str) -> Query:
    """A query.

    :raises Refused: 400, it has a mistake; 501, it asks for what is not served here
    """
    return _Parser(text).query()


def parse_condition(text: Any) -> Callable[[Any], Any]:
    """The condition of a patch, `FROM c WHERE …`, as a function of the document.

    :raises Refused: 400, it has a mistake; 501, it asks for what is not served here
    """
    if not isinstance(text, str):
        raise Refused(400, "The patch's condition is not a string.")
    return compiled(_Parser(text).condition(), {})


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._alias = "c"

    def query(self) -> Query:
        self.need("SELECT")
        if self.take("DISTINCT"):
            raise unsupported("DISTINCT")
        top = self._number() if self.take("TOP") else None
        start = self.position
        self._skip_to_from()
        self._from()
        after_from, self.position = self.position, start
        value = self.take("VALUE")
        selected = self._select_list(value)
        self.position = after_from
        where = self._expression() if self.take("WHERE") else None
        group_by = self.listed(self._expression) if self.take_two("GROUP", "BY") else []
        order_by = self.listed(self._ordered) if self.take_two("ORDER", "BY") else []
        offset = limit = None
        if self.take("OFFSET"):
            offset = self._number()
            self.need("LIMIT")
            limit = self._number()
        self.end()
        aggregates = [count for entry in selected for count in counts_in(entry.expression)]
        query = Query(
            self._alias,
            selected,
            value,
            where,
            order_by,
            group_by,
            top,
            offset,
            limit,
            tuple(dict.fromkeys(aggregates)),
        )
        check_grouping(query)
        return query

    def condition(self) -> Expression:
        self._from()
        self.need("WHERE")
        expression = self._expression()
        self.end()
        return expression

    def _skip_to_from(self) -> None:
        """The alias has to be known before the select list can be read."""
        while self.peek.kind != "end" and not (self.peek.kind == "keyword" and self.peek.value == "FROM"):
            self.advance()

    def _from(self) -> None:
        self.need("FROM")
        self._alias = self.name()
        if self.take("AS") or self.peek.kind == "name":
            self._alias = self.name()
        if self.peek.kind == "keyword" and self.peek.value in {"JOIN", "IN"}:
            raise unsupported(str(self.peek.value))
        if self.comes("."):
            raise unsupported("FROM a part of the item")

    def _select_list(self, value: bool) -> list[Selected]:
        if not value and self.take("*"):
            self._expect_from()
            return []
        selected = self.listed(self._selected)
        if value and len(selected) != 1:
            raise syntax_error("SELECT VALUE takes one expression.", self.peek.at)
        self._expect_from()
        return selected

    def _expect_from(self) -> None:
        if not (self.peek.kind == "keyword" and self.peek.value == "FROM"):
            raise self.surprise()

    def _selected(self) -> Selected:
        expression = self._expression()
        if self.take("AS") or self.peek.kind == "name":
            return Selected(expression, self.name())
        if isinstance(expression, Path) and expression.names and isinstance(expression.names[-1], str):
            return Selected(expression, expression.names[-1])
        return Selected(expression, "")  # Cosmos DB numbers these: $1, $2 and so on

    def _ordered(self) -> Ordered:
        at, expression = self.peek.at, self._expression()
        if not isinstance(expression, Path) or not expression.names:
            raise syntax_error("ORDER BY takes property paths.", at)
        if self.take("DESC"):
            return Ordered(expression, True)
        self.take("ASC")
        return Ordered(expression, False)

    def _number(self) -> Expression:
        token = self.advance()
        if token.kind == "number" and isinstance(token.value, int):
            return Literal(token.value)
        if token.kind == "parameter":
            return Parameter(token.value)
        raise syntax_error("A whole number is expected.", token.at)

    def _expression(self) -> Expression:
        self.deeper()
        parts = [self._conjunction()]
        while self.take("OR"):
            parts.append(self._conjunction())
        self.depth -= 1
        whole = chained("OR", parts)
        if not self.depth:
            check_depth(whole)
        return whole

    def _conjunction(self) -> Expression:
        parts = [self._negation()]
        while self.take("AND"):
            parts.append(self._negation())
        return chained("AND", parts)

    def _negation(self) -> Expression:
        if not self.take("NOT"):
            return self._comparison()
        self.deeper()
        operand = self._negation() if self.comes("NOT") else self._primary()
        self.depth -= 1
        if self.peek.value in _COMPARISONS or self.comes("IN"):
            raise unsupported("NOT before a comparison without parentheses: no page tells what it applies to")
        return Not(operand)

    def _comparison(self) -> Expression:
        left = self._primary()
        token = self.peek
        if token.kind == "symbol" and token.value in _COMPARISONS:
            self.advance()
            operator = "!=" if token.value == "<>" else str(token.value)
            return Binary(operator, left, self._primary())
        if token.kind == "symbol" and token.value in _OTHER_OPERATORS:
            raise unsupported(f"the operator {token.value!r}")
        if token.kind == "keyword" and token.value in _OTHER_KEYWORDS:
            raise unsupported(str(token.value))
        return self._one_of(left) if self.take("IN") else left

    def _one_of(self, left: Expression) -> Expression:
        """`left IN (a, b)` is short for `left = a OR left = b`."""
        self.need("(")
        found = self.listed(self._expression)
        self.need(")")
        return chained("OR", [Binary("=", left, part) for part in found])

    def _primary(self) -> Expression:
        token = self.advance()
        match token.kind:
            case "number" | "string":
                return Literal(token.value)
            case "parameter":
                return Parameter(token.value)
            case "keyword" if token.value in _CONSTANTS:
                return Literal(_CONSTANTS[token.value])
            case "keyword" if token.value in _OTHER_KEYWORDS or token.value in {"UNDEFINED", "SELECT"}:
                raise unsupported(str(token.value))
            case "name":
                return self._call(token) if self.comes("(") else self._path(token)
            case "symbol":
                return self._bracketed(token)
        self.back()
        raise self.surprise()

    def _bracketed(self, token: Token) -> Expression:
        match token.value:
            case "(":
                inner = self._expression()
                self.need(")")
                return inner
            case "[":
                items = [] if self.comes("]") else self.listed(self._expression)
                self.need("]")
                return Array(tuple(items))
            case "{":
                members = [] if self.comes("}") else self.listed(self._member)
                self.need("}")
                return Object(tuple(members))
            case "-" if self.peek.kind == "number":
                return Literal(-self.advance().value)
        self.back()
        raise self.surprise()

    def _member(self) -> tuple[str, Expression]:
        name = self.advance()
        if name.kind not in {"string", "name"}:
            raise syntax_error("A property name is expected.", name.at)
        self.need(":")
        return str(name.value), self._expression()

    def _call(self, token: Token) -> Expression:
        name = str(token.value).upper()
        self.need("(")
        arguments = [] if self.comes(")") else self.listed(self._expression)
        self.need(")")
        if name == "COUNT" and len(arguments) == 1:
            return Count(arguments[0])
        if name in _AGGREGATES or name not in FUNCTIONS:
            raise unsupported(f"the function {name}")
        low, high = FUNCTIONS[name].arguments
        if not low <= len(arguments) <= high:
            raise syntax_error(f"{name} takes {low} to {high} arguments.", token.at)
        return Call(name, tuple(arguments))

    def _path(self, token: Token) -> Path:
        if token.value != self._alias:
            raise syntax_error(f"Identifier '{token.value}' could not be resolved.", token.at)
        names: list[str | int] = []
        while self.comes(".") or self.comes("["):
            if self.take("."):
                names.append(self._property())
                continue
            self.advance()
            inner = self.advance()
            if inner.kind not in {"string", "number"} or isinstance(inner.value, float):
                raise syntax_error("A property name or a position is expected.", inner.at)
            self.need("]")
            names.append(inner.value)
        return Path(tuple(names))

    def _property(self) -> str:
        token = self.peek
        if token.kind == "keyword":  # Cosmos DB takes `c.value` for a mistake too; it has to be c["value"]
            raise self.surprise()
        return self.name()
