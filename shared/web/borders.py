"""The borders between organisers, drawn in one place: which organiser an endpoint is about is declared, and asked here.

An endpoint whose permission concerns an organiser says `within="organiser_id"`: the route parameter or field of that
name is the organiser, and the caller's permission there is asked before the handler sees the request. Or it says
`within=THING`: the organiser is that of a thing which has to be read first, and whoever reads it asks (`require`); an
answer for which nobody asked is not given.
"""

from typing import Final

from shared.auth.permissions import ORGANISER_SCOPED, Caller, Permission, PermissionMissing, may, require
from shared.kernel.ids import OrganiserId
from shared.web.call import Call, Wire

THING: Final = "thing"
OWN_OR_THING: Final = "own-or-thing"  # for people: what is theirs, or of an organiser they may see it in
_READ_FIRST: Final = frozenset({THING, OWN_OR_THING})


class BorderUndeclared(TypeError):
    """An endpoint does not say which organiser its permission is asked for."""


class BorderUnasked(Exception):
    """A handler did something for an organiser without asking whether the caller may: a mistake of ours."""


def refuse_undeclared(function: str, route: str, needs: Permission, within: str) -> None:
    """Nothing, for an endpoint that says whose things it is about exactly if it is about somebody's.

    :param route: what buyers name in it is somebody's order
    :raises BorderUndeclared: any other
    """
    if needs in ORGANISER_SCOPED:
        declared = bool(within) and within != OWN_OR_THING
    else:
        declared = within == (OWN_OR_THING if needs is Permission.BUY and "{" in route else "")
    if not declared:
        raise BorderUndeclared(f"{function} needs {needs} at {route}: `within` must say whose things, and only then.")


def cross(call: Call, given: Wire, needs: Permission, within: str) -> None:
    """Let the call go on if the caller may do this for the organiser it names; for none: for the whole platform.

    :raises NotFound: it may not; a foreign organiser looks exactly like one that does not exist
    :raises PermissionMissing: it names no organiser, and may do this only for some
    """
    if not within or within in _READ_FIRST:
        return
    organiser_id = _named(call, given, within)
    if organiser_id is not None:
        require(call.caller, needs, organiser_id, what=f"organiser {organiser_id}")
    elif not may(call.caller, needs):
        raise PermissionMissing(f"Say for which organiser: for the whole platform it needs “{needs}”.", needs=needs)


def refuse_unasked(caller: Caller, within: str) -> None:
    """Nothing, if somebody asked what the caller may do with the thing, or whether it is theirs.

    :raises BorderUnasked: nobody did
    """
    if within in _READ_FIRST and not caller.asked:
        raise BorderUnasked("An answer was made without asking for which organiser the caller may have it.")


def _named(call: Call, given: Wire, name: str) -> OrganiserId | None:
    if name in call.raw.route_params:
        return OrganiserId(call.id(name))
    value = getattr(given, name)
    return None if value is None else OrganiserId(value)
