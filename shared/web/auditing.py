"""What the audit trail tells of an endpoint: who did what to what, and what came of it.

Where it is known beforehand whose trail that is, the intent is written before the handler acts, and the outcome after;
an intent without an outcome says that we died in between. Where it shows only from the thing that was changed, one
entry is written after, before the answer: whoever gets no answer asks again, and these endpoints do nothing twice.
"""

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from shared.audit import PLATFORM, AuditEntry, AuditTrail, Step
from shared.auth.permissions import GRANTS, Permission, Role
from shared.kernel.clock import utc_now
from shared.kernel.errors import DomainError
from shared.kernel.ids import ID_PATTERN, random_id
from shared.web.call import Answer, Call, Handler, Wire

_ONLY_ADMINS: Final = frozenset({Role.ADMIN})
_ORGANISER: Final = "organiser_id"
_ID: Final = re.compile(ID_PATTERN)


def audited[I: Wire](handler: Handler[I], name: str, needs: Permission, trail: AuditTrail) -> Handler[I]:
    """`handler`, each call of which the trail tells of.

    :param name: of the function
    """

    async def handled(call: Call, given: I) -> Answer:
        scope = _scope_before(call, needs)
        entry = _entry(call, name, scope or PLATFORM, _asked_for(given))
        if scope is not None:
            await trail.begin(entry)
        try:
            answer = await handler(call, given)
        except DomainError as refusal:
            if scope is not None:
                await trail.conclude(entry, {"refused": refusal.code()}, now=utc_now())
            raise
        scope = scope or _scope_after(call, needs)
        if scope is not None:
            done: dict[str, Any] = {**entry.details, **call.noted, "refused": ""}
            await trail.conclude(entry.model_copy(update={"scope": scope}), done, now=utc_now())
        return answer

    return handled


def _scope_before(call: Call, needs: Permission) -> str | None:
    """The organiser the border was asked about; the platform, for what only admins may; None where it shows later.

    Never what the request merely names: who may not do it must not write into anybody's trail.
    """
    if call.caller.asked:
        return _organiser(call) or PLATFORM
    return PLATFORM if GRANTS[needs].platform == _ONLY_ADMINS and not GRANTS[needs].organiser else None


def _scope_after(call: Call, needs: Permission) -> str | None:
    """The organiser whose thing it was, or the one the handler noted; None for what people do with their own."""
    of_nobody = PLATFORM if GRANTS[needs].organiser else None
    return call.noted.get(_ORGANISER) or _organiser(call) or of_nobody


def _organiser(call: Call) -> str | None:
    return next((organiser for organiser in call.caller.asked if organiser), None)


def _asked_for(given: Wire) -> dict[str, Any]:
    """What was asked, as far as it is no free text: roles, scopes, numbers and flags."""
    values = {name: getattr(given, name) for name in type(given).model_fields}
    return {name: shown for name, value in values.items() if (shown := _plain(value)) is not None}


def _plain(value: object) -> str | int | bool | list[str] | None:
    if isinstance(value, list):
        shown = [each.value for each in value if isinstance(each, Enum)]
        return shown if len(shown) == len(value) else None
    return value.value if isinstance(value, Enum) else value if isinstance(value, bool | int) else None


def _entry(call: Call, name: str, scope: str, asked: Mapping[str, Any]) -> AuditEntry:
    named = [str(value) for key, value in call.raw.route_params.items() if key != _ORGANISER]
    target = "/".join(value if _ID.fullmatch(value) else "malformed" for value in named)
    return AuditEntry(
        audit_id=random_id("aud"), step=Step.INTENT, scope=scope, at=call.now, who=call.caller.actor, what=name,
        target=target, why="", correlation_id=call.correlation_id, request="", details=dict(asked),
    )  # fmt: skip
