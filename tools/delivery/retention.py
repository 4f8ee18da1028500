"""How long packages are kept: what runs, the last that may be gone back to, and whatever is young.

A version that goes takes with it what was said of it. One that was bad is then no longer known to be; nobody goes back
to it, since its package is gone. Made and published again it is refused as older, but not where what runs was gone back
to, which is older still.

How old something is, Azure knows: marks have the moments of whoever wrote them, and a package of which nothing is
written down has none. What is no version's is not ours to delete.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from tools.delivery.history import MANIFEST, History, Version
from tools.delivery.lease import LeaseLost
from tools.delivery.releases import PACKAGE, Releases

TRUSTED_KEPT: Final = 5  # beside what runs
KEPT_FOR: Final = timedelta(days=14)  # whatever was written within it, package or mark, keeps its version
DELETED_MAX: Final = 100  # blobs at once, a second or two each; the rest goes after the next publication


def superfluous(written: Mapping[str, datetime], now: datetime) -> list[str]:
    """The blobs that nobody needs any more, each version's manifest first: without it, a version is not whole; pure.

    Of what is kept, only the first and the last of each kind of mark count (`Version.bad_since`), so others go.

    :param written: blob → when it was written
    """
    history = History.of(written)
    runs = history.running()
    if runs is None:  # nobody knows, so nothing is certain to be needless
        return []
    trusted = [each.name for each in history.all() if each.trusted and each.name != runs.version]
    kept = {runs.version, *trusted[:TRUSTED_KEPT]}
    found: list[str] = []
    for version in history.versions.values():
        own = [name for name in written if name.startswith(f"{version.name}/")]
        if version.name in kept or max(written[name] for name in own) >= now - KEPT_FOR:
            found += _between(version)
        elif version.marks or {f"{version.name}/{MANIFEST}", f"{version.name}/{PACKAGE}"} & {*own}:
            found += sorted(own, key=lambda name: not name.endswith(f"/{MANIFEST}"))
    return found


def _between(version: Version) -> Iterator[str]:
    for mark, moments in version.marks.items():
        yield from (f"{version.name}/{mark}/{moment}" for moment in moments[1:-1])


def prune(releases: Releases, now: datetime, tell: Callable[[str], None], *, at_most: int = DELETED_MAX) -> None:
    """Delete what is superfluous, while nobody publishes.

    :param now: nothing counts as older by it than by the newest blob, since a clock may be ahead of Azure's
    :param at_most: blobs
    :raises Occupied: somebody does; nothing was deleted
    :raises AzureFailed: Azure refused; the rest goes another time
    """
    deleted = 0
    with releases.alone(tell, 0.0) as turn:
        written = releases.written()
        needless = superfluous(written, min(now, max(written.values(), default=now)))
        for _, names in groupby(needless[:at_most], key=lambda name: name.partition("/")[0]):
            try:
                turn.held()
            except LeaseLost:  # whoever publishes now may need what was needless before
                tell("Somebody may publish now, so no more is deleted.")
                break
            for name in names:
                releases.delete(name)
                deleted += 1
    if needless:
        tell(f"{deleted} of {len(needless)} blobs that nobody needs any more were deleted.")
