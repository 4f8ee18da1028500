"""How long packages are kept: what runs, the last that may be gone back to, and whatever is young.

A version that goes takes with it what was said of it. One that was bad is then no longer known to be; nobody goes back to
it, since its package is gone. Made and published again it is refused as older, but not where what runs was gone back
to, which is older still.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from tools.delivery.history import MANIFEST, History, Mark, Version, moment_of
from tools.delivery.releases import Releases

TRUSTED_KEPT: Final = 5  # beside what runs
KEPT_FOR: Final = timedelta(days=14)  # whatever was said of a version within it keeps it
DELETED_MAX: Final = 100  # blobs at once, a second or two each; the rest goes after the next publication


def superfluous(names: Sequence[str], now: datetime) -> list[str]:
    """The blobs that nobody needs any more, each version's manifest first: without it, a version is not whole; pure.

    Of what is kept, only the first and the last of each kind of mark count (`Version.bad_since`), so others go.
    """
    history = History.of(names)
    runs = history.running()
    if runs is None:  # nobody knows, so nothing is certain to be needless
        return []
    young = moment_of(now - KEPT_FOR)
    trusted = [each.name for each in history.all() if each.trusted and each.name != runs.version]
    kept = {runs.version, *trusted[:TRUSTED_KEPT]}
    kept |= {each.name for each in history.versions.values() if _newest(each) >= young}
    found: list[str] = []
    for version in history.versions.values():
        if version.name in kept:
            found += _between(version)
        else:
            own = [name for name in names if name.startswith(f"{version.name}/")]
            found += sorted(own, key=lambda name: not name.endswith(f"/{MANIFEST}"))
    return found


def _newest(version: Version) -> str:
    return max((version.last(mark) for mark in Mark), default="")


def _between(version: Version) -> Iterator[str]:
    for mark, moments in version.marks.items():
        yield from (f"{version.name}/{mark}/{moment}" for moment in moments[1:-1])


def prune(releases: Releases, now: datetime, tell: Callable[[str], None], *, at_most: int = DELETED_MAX) -> None:
    """Delete what is superfluous, while nobody publishes.

    :param at_most: blobs
    :raises Occupied: somebody does; nothing was deleted
    :raises AzureFailed: Azure refused; the rest goes another time
    """
    with releases.alone(tell, 0.0) as turn:
        needless = superfluous(releases.names(), now)
        for name in needless[:at_most]:
            if not turn.ours():
                return
            releases.delete(name)
    if needless:
        tell(f"{min(len(needless), at_most)} of {len(needless)} blobs that nobody needs any more were deleted.")
