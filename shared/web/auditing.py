"""What the audit trail tells of an endpoint: who did what to what, and what came of it.

Where it is known beforehand whose trail that is, the intent is written before the handler acts, and the outcome after;
an intent without an outcome says that we died in between. Where it shows only from the thing that was changed, one
entry is written after, before the answer: whoever gets no answer asks again, and these endpoints do nothing twice.
"""

from typing import Any, Final

from shared.audit import PLATFORM, AuditEntry, AuditTrail, Step
from shared.auth.permissions import GRANTS, Permission, Role
from shared.kernel.errors import DomainError
from shared.kernel.ids import random_id
from shared.web.call import Answer, Call, Handler, Wire

_ONLY_ADMINS: Final = frozenset({Role.ADMIN})
_ORGANISER: Final = "organiser_id"


def audited[I: Wire](handler: Handler[I], name: str, needs: Permission, trail: AuditTrail) -> Handler[I]:
    """`handler`, each call of which the trail tells of.

    :param name: of the function
    """

    async def handled(call: Call, given: I) -> Answer:
        scope = _scope_before(call, given, needs)
        entry = _entry(call, name, scope or PLATFORM)
        if scope is not None:
            await trail.begin(entry)
        try:
            answer = await handler(call, given)
        except DomainError as refusal:
            if scope is not None:
                await trail.conclude(entry, {"refused": refusal.code()}, now=call.now)
            raise
        done: dict[str, Any] = {**call.noted, "refused": ""}
        if scope is None:
            entry = entry.model_copy(update={"scope": _scope_after(call)})
        await trail.conclude(entry, done, now=call.now)
        return answer

    return handled


def _scope_before(call: Call, given: Wire, needs: Permission) -> str | None:
    """The organiser the request names; the platform, for what only admins may; None where it shows only later."""
    if named := call.raw.route_params.get(_ORGANISER) or getattr(given, _ORGANISER, None):
        return str(named)
    if GRANTS[needs].organiser:
        return PLATFORM if hasattr(given, _ORGANISER) else None
    return PLATFORM if GRANTS[needs].platform == _ONLY_ADMINS else None


def _scope_after(call: Call) -> str:
    """The organiser whose thing it was, or the one the handler noted."""
    asked = [organiser for organiser in call.caller.asked if organiser]
    return call.noted.get(_ORGANISER) or (asked[0] if len(asked) == 1 else PLATFORM)


def _entry(call: Call, name: str, scope: str) -> AuditEntry:
    target = "/".join(value for key, value in call.raw.route_params.items() if key != _ORGANISER)
    return AuditEntry(
        audit_id=random_id("aud"), step=Step.INTENT, scope=scope, at=call.now, who=call.caller.actor, what=name,
        target=target, why="", correlation_id=call.correlation_id, request="", details={},
    )  # fmt: skip
