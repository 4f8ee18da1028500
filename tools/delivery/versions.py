"""Which version answers, at the gateway and at each app's own address: health may be asked past the gateway.

What answers over HTTP says nothing of instances that only read queues, which Flex Consumption counts apart: those tell
their version with what they do, in Application Insights (`smoke_trace.py`).
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

import httpx

from tools.delivery.outcome import CheckFailed
from tools.delivery.shop import document, problem

IN_A_ROW: Final = 5  # answers of each place: several instances may answer in turn, and old ones for a while
UNTOLD: Final = "no version"  # of a package made before packages told theirs


def answering(
    http: httpx.Client,
    places: Mapping[str, str],
    wanted: str,
    *,
    seconds: float,
    poll: float,
    tell: Callable[[str], None],
) -> str:
    """Wait until every place answers as this version, several times in a row; what there is to say of that.

    :param places: who answers → the address of its health
    :param seconds: how long old instances may still answer
    :param poll: seconds between two looks
    :param tell: is told what still answers otherwise, when that changes
    :raises CheckFailed: another version answers somewhere, or nothing does
    """
    give_up, right, said = time.monotonic() + seconds, 0, ""
    while True:
        others = {who: found for who, address in places.items() if (found := _told(http, address)) != wanted}
        right = 0 if others else right + 1
        if right == IN_A_ROW:
            return f"{wanted} at {', '.join(places)}"
        if not others:
            continue
        trouble = "; ".join(f"{who}: {found}" for who, found in others.items())
        if time.monotonic() >= give_up:
            raise CheckFailed(f"not {wanted} everywhere within {seconds:.0f} s, but {trouble}")
        if trouble != said:
            tell(f"{wanted} is not everywhere yet: {trouble}")
            said = trouble
        time.sleep(poll)


def _told(http: httpx.Client, address: str) -> str:
    """The version of what answers there, or what came instead."""
    try:  # on a connection of its own: on one that is kept the same instance may answer every time
        answer = http.get(address, headers={"connection": "close"})
    except httpx.HTTPError as error:
        return f"{address} does not answer: {str(error) or type(error).__name__}"
    found = document(answer)
    return problem(answer) if found is None or not answer.is_success else str(found.get("version", UNTOLD))
