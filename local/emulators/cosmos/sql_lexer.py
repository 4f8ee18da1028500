"""A query's text as tokens."""

import re
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

from local.emulators.cosmos.errors import Refused

# https://learn.microsoft.com/azure/cosmos-db/nosql/query/keywords
_CLAUSES: Final = frozenset(
    {"SELECT", "VALUE", "TOP", "DISTINCT", "AS", "FROM", "JOIN", "WHERE", "GROUP", "ORDER", "BY", "OFFSET", "LIMIT"}
)
_WORDS: Final = frozenset(
    {"AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "ESCAPE", "EXISTS", "ARRAY", "ASC", "DESC", "UDF", "RANK"}
)
_CONSTANTS: Final = frozenset({"TRUE", "FALSE", "NULL", "UNDEFINED"})
KEYWORDS: Final = _CLAUSES | _WORDS | _CONSTANTS
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<parameter>@[A-Za-z_][A-Za-z0-9_]*)
    | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<symbol><=|>=|!=|<>|\?\?|\|\||[=<>(),.\[\]{}:*+\-/%?&|^~])
    )""",
    re.VERBOSE,
)
_INTEGERS_END: Final = 2.0**63
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ESCAPED = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
QUERY_BYTES_MAX: Final = 512 * 1024  # https://learn.microsoft.com/azure/cosmos-db/concepts-limits#sql-query-limits


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    :param kind: keyword, name, number, parameter, string, symbol or end
    :param value: a keyword in capitals, a number or string as its value, else the text
    :param at: where it begins, in characters
    """

    kind: str
    value: Any
    at: int


def syntax_error(detail: str, at: int) -> Refused:
    """The refusal of a query that cannot be read."""
    error = f'{{"errors":[{{"severity":"Error","location":{{"start":{at}}},"code":"SC1001","message":"{detail}"}}]}}'
    return Refused(400, f"Message: {error}")


def tokens(text: str) -> list[Token]:
    """The tokens of `text`, closed by one of kind `end`.

    :raises Refused: 400, SC1001: a character that belongs to no token; or the text is too long
    """
    if len(text.encode()) > QUERY_BYTES_MAX:
        raise Refused(400, f"The query has more than {QUERY_BYTES_MAX} bytes.")
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise syntax_error(f"Syntax error, invalid token near position {at}.", at)
        assert match.lastgroup is not None
        found.append(_token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return [*found, Token("end", "", len(text))]


def _token(kind: str, text: str, at: int) -> Token:
    match kind:
        case "word":
            word = text.upper()
            return Token("keyword", word, at) if word in KEYWORDS else Token("name", text, at)
        case "number":
            return Token(kind, _number(text, at), at)
        case "string":
            return Token(kind, _ESCAPED.sub(_unescaped, text[1:-1]), at)
        case _:
            return Token(kind, text, at)


def _number(text: str, at: int) -> int | float:
    """A number as Cosmos DB has it: a double, so long integers lose their last digits."""
    number = float(text)
    if not isfinite(number):
        raise syntax_error(f"Syntax error, no double is as large as the number near position {at}.", at)
    return int(number) if text.isdecimal() and number < _INTEGERS_END else number


def _unescaped(match: re.Match[str]) -> str:
    if match[1]:
        return chr(int(match[1], 16))
    return _ESCAPES.get(match[2], match[2])
