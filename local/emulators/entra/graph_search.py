r"""`$search` and `$filter` over users, as far as they are emulated.

    search  = clause { " OR " clause } | clause { " AND " clause }
    clause  = '"' property ":" text '"'                             \ and " in the text are escaped with \
    filter  = "identities/any(" v ":" v "/issuerAssignedId eq " literal " and " v "/issuer eq " literal ")"
            | "accountEnabled eq " ( "true" | "false" )
            | "startswith(" property "," literal ")"
    literal = "'" text "'"                                          ' in the text is doubled

(https://learn.microsoft.com/graph/search-query-parameter, https://learn.microsoft.com/graph/filter-query-parameter)
"""

import re
from collections.abc import Callable
from itertools import pairwise

from local.emulators.entra.graph_errors import GraphError, not_emulated, unsupported_query
from local.emulators.entra.graph_users import principal_name
from local.emulators.entra.users import User

type Condition = Callable[[User], bool]

_CLAUSE = re.compile(r'"(\w+):((?:[^"\\]|\\["\\])*)"')
_LITERAL = r"'((?:[^']|'')*)'"
_IDENTITY = re.compile(
    rf"identities/any\((\w+):\1/issuerAssignedId eq {_LITERAL}(?: and \1/issuer eq {_LITERAL})?\)", re.IGNORECASE
)
_ENABLED = re.compile(r"accountEnabled eq (true|false)", re.IGNORECASE)
_BEGINS = re.compile(rf"startswith\((\w+), ?{_LITERAL}\)", re.IGNORECASE)
# Words end at spaces, symbols and numbers, and where a small letter is followed by a capital one.
_TOKEN = re.compile(r"[0-9]+|[^\W\d_]+")
_TEXTS: dict[str, Callable[[User], str]] = {
    "displayName": lambda user: user.name,
    "mail": lambda user: user.email,
    "userPrincipalName": principal_name,
}


def searched(text: str) -> Condition:
    """Whom a `$search` finds.

    :raises GraphError: it is none, or more than is emulated
    """
    clauses = list(_CLAUSE.finditer(text))
    between = {text[one.end() : other.start()].strip() for one, other in pairwise(clauses)}
    if not clauses or clauses[0].start() != 0 or clauses[-1].end() != len(text) or not between <= {"AND", "OR"}:
        if "(" in _CLAUSE.sub("", text):
            raise not_emulated("parentheses in $search")
        raise GraphError('Syntax error: $search wants clauses "property:text" in quotes, joined by AND or OR.')
    if len(between) > 1:
        raise not_emulated("AND and OR in one $search")
    conditions = [_clause(found[1], re.sub(r"\\(.)", r"\1", found[2])) for found in clauses]
    return (lambda user: any(each(user) for each in conditions)) if "OR" in between else (
        lambda user: all(each(user) for each in conditions)
    )  # fmt: skip


def filtered(text: str) -> Condition:
    """Whom a `$filter` lets through.

    :raises GraphError: it is more than is emulated, or not supported
    """
    if found := _IDENTITY.fullmatch(text):
        if found[3] is None:  # https://learn.microsoft.com/graph/api/resources/objectidentity#filtering
            raise unsupported_query("When filtering on issuerAssignedId, you must supply both issuer and it.")
        address = _meant(found[2]).lower()  # of sign-in types emailAddress the issuer is ignored, the page says
        return lambda user: user.email == address
    if found := _ENABLED.fullmatch(text):
        wanted = found[1].lower() == "true"
        return lambda user: user.enabled is wanted
    if found := _BEGINS.fullmatch(text):
        return _begins(found[1], _meant(found[2]))
    raise not_emulated(f"this $filter on users: {text}")


def tokens(text: str) -> list[str]:
    """The words of a text, as `$search` on a displayName takes them apart."""
    found: list[str] = []
    for run in _TOKEN.findall(text):
        start = 0
        for place in range(1, len(run)):
            if run[place - 1].islower() and run[place].isupper():
                found.append(run[start:place].lower())
                start = place
        found.append(run[start:].lower())
    return found


def _clause(name: str, text: str) -> Condition:
    if name != "displayName":  # "fields other than displayName and description default to startswith"
        return _begins(name, text)
    wanted = tokens(text)
    if not wanted:
        return lambda _: False
    return lambda user: all(any(has.startswith(want) for has in tokens(user.name)) for want in wanted)


def _begins(name: str, text: str) -> Condition:
    told = _TEXTS.get(name)
    if told is None:
        raise not_emulated(f"conditions on the property {name} of a user")
    wanted = text.lower()
    return lambda user: told(user).lower().startswith(wanted)


def _meant(literal: str) -> str:
    return literal.replace("''", "'")
