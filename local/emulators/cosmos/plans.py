"""Query plans: how a client is to put together a query over several ranges.

The gateway serves filters and projections itself; what needs state across ranges is sent back to the client, whose SDK
asks for this plan. https://learn.microsoft.com/rest/api/cosmos-db/querying-cosmosdb-resources-using-the-rest-api
"""

from typing import Any

from local.emulators.cosmos.containers import Json
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.hashing import MAXIMUM, MINIMUM
from local.emulators.cosmos.sql_tree import Expression, Literal, Query, text_of


def plan_of(query: Query, parameters: dict[str, Any]) -> Json:
    """The plan as the gateway gives it.

    :raises Refused: 400, the query groups, which no client of this protocol version can put together
    """
    if query.group_by:
        raise Refused(400, "Query contains the following features, which the calling client does not support: GroupBy.")
    rewritten = _rewritten(query)
    return {
        "partitionedQueryExecutionInfoVersion": 2,
        "queryInfo": {
            "distinctType": "None",
            "top": _number(query.top, parameters),
            "offset": _number(query.offset, parameters),
            "limit": _number(query.limit, parameters),
            "orderBy": ["Descending" if part.descending else "Ascending" for part in query.order_by],
            "orderByExpressions": [text_of(part.path, query.alias) for part in query.order_by],
            "groupByExpressions": [],
            "groupByAliases": [],
            "aggregates": ["Count"] * len(query.aggregates),
            "groupByAliasToAggregateType": {},
            "rewrittenQuery": rewritten,
            "hasSelectValue": query.value,
            "hasNonStreamingOrderBy": False,
        },
        "queryRanges": [{"min": MINIMUM, "max": MAXIMUM, "isMinInclusive": True, "isMaxInclusive": False}],
    }


def _rewritten(query: Query) -> str:
    """What each range is asked: with the sort keys beside each item, or a part of the aggregate."""
    alias = query.alias
    where = None if query.where is None else text_of(query.where, alias)
    if query.order_by:
        if query.selected:
            raise unsupported("a projection together with ORDER BY across partitions")
        keys = ", ".join(f'{{"item": {text_of(part.path, alias)}}}' for part in query.order_by)
        order = ", ".join(
            f"{text_of(part.path, alias)} {'DESC' if part.descending else 'ASC'}" for part in query.order_by
        )
        conditions = ["({documentdb-formattableorderbyquery-filter})", *([f"({where})"] if where else [])]
        return (
            f"SELECT {_top(query)}{alias}._rid, [{keys}] AS orderByItems, {alias} AS payload FROM {alias} "  # noqa: S608 - the double's own
            f"WHERE {' AND '.join(conditions)} ORDER BY {order}"
        )
    if query.aggregates:
        if not query.value or len(query.aggregates) > 1:
            raise unsupported("several aggregates across partitions")
        item = text_of(query.selected[0].expression, alias)
        return f'SELECT VALUE [{{"item": {item}}}] FROM {alias}' + (f" WHERE {where}" if where else "")  # noqa: S608 - the double's own
    return ""


def _top(query: Query) -> str:
    return "" if query.top is None else f"TOP {text_of(query.top, query.alias)} "


def _number(expression: Expression | None, parameters: dict[str, Any]) -> Any:
    if expression is None:
        return None
    return expression.value if isinstance(expression, Literal) else parameters.get(getattr(expression, "name", ""))
