"""One publication at a time: a lease on one blob beside the packages, renewed for as long as somebody publishes.

It is the longest that ends by itself. So whoever dies, or is ended by a pipeline, holds up nobody for longer than a
minute, and the way back that a pipeline begins then simply waits for that. One without end would have to be broken by
hand each time, at the worst moment.
"""

import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tools.delivery.azure import Azure, AzureFailed

LOCK: Final = "publishing.lock"
LEASE_SECONDS: Final = 60  # as long as Azure gives one that ends by itself
RENEWAL_SECONDS: Final = (
    15.0  # between two, and for each: two may fail at once before it ends, one after a long silence
)
WAIT_SECONDS: Final = 90.0  # for somebody else: longer than the lease of somebody who died
POLL_SECONDS: Final = 5.0
# https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes
_TAKEN: Final = ("LeaseAlreadyPresent", "already a lease present", "LeaseIsBreakingAndCannotBeAcquired")
_LOST: Final = "ErrorCode:Lease"  # whatever is wrong with it, it is not ours any more


class Occupied(Exception):
    """Somebody else publishes; nothing was changed, and the message says what to do."""


class LeaseLost(Exception):
    """Somebody broke the lease, or it could not be renewed: whatever is not published yet is not."""


@dataclass(slots=True)
class Lease:
    """The right to publish, while it is held.

    :param words: which blob it is on, for `az`
    :param until: when it ends, by the monotonic clock
    :param lost: why it is not ours any more
    """

    azure: Azure
    words: Sequence[str]
    renewal_seconds: float = RENEWAL_SECONDS
    lease_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    lost: str = ""
    until: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)
    _keeper: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._keeper = threading.Thread(target=self._keep, name="lease", daemon=True)

    def held(self) -> None:
        """Ask whether it is still ours, and renew it.

        :raises LeaseLost: it is not
        """
        self.renew()
        if not self.ours():
            why = self.lost or f"it could not be renewed for {LEASE_SECONDS} s"
            raise LeaseLost(
                f"somebody else may publish now, so this ends here ({why}); apps may have either version, unless none "
                "was reached yet: publish or roll back again, and all have one"
            )

    def ours(self) -> bool:
        """Whether it is still ours, as far as is known without asking."""
        return not self.lost and time.monotonic() < self.until

    def acquire(self) -> bool:
        """Take it, if nobody has it; whether it is ours. Its id is ours, so that asking again changes nothing.

        :raises AzureFailed: Azure refused
        """
        asked = time.monotonic()
        words = (*self.words, "--lease-duration", str(LEASE_SECONDS), "--proposed-lease-id", self.lease_id)
        try:
            self.azure.ask("storage", "blob", "lease", "acquire", *words)
        except AzureFailed as error:
            if any(code in str(error) for code in _TAKEN):
                return False
            raise
        self.until = asked + LEASE_SECONDS
        return True

    def keep_in_background(self) -> None:
        """Renew it until it is given back or lost."""
        self._keeper.start()

    def _keep(self) -> None:
        while not self.lost and not self._over.wait(self.renewal_seconds):
            self.renew()

    def renew(self) -> None:
        """Renew it once. An answer that does not come says nothing: the lease ends when its time is over."""
        asked = time.monotonic()
        try:
            words = (*self.words, "--lease-id", self.lease_id)
            self.azure.ask("storage", "blob", "lease", "renew", *words, seconds=RENEWAL_SECONDS)
        except AzureFailed as error:
            if _LOST in str(error):
                self.lost = str(error)
        else:
            self.until = asked + LEASE_SECONDS

    def give_back(self) -> None:
        """Let others publish at once; where that fails, in a minute."""
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join(RENEWAL_SECONDS)
        with suppress(AzureFailed):
            self.azure.ask("storage", "blob", "lease", "release", *self.words, "--lease-id", self.lease_id)


@contextmanager
def alone(
    azure: Azure, where: Sequence[str], tell: Callable[[str], None], *, wait_seconds: float = WAIT_SECONDS,
    poll_seconds: float = POLL_SECONDS,
) -> Iterator[Lease]:  # fmt: skip
    """Hold the lease as long as the block lasts.

    :param where: the container, for `az`
    :param tell: is told whom it waits for
    :param wait_seconds: how long it waits for somebody else to end
    :raises Occupied: somebody else has it all the while; nothing was changed
    :raises AzureFailed: Azure refused
    """
    lease = Lease(azure, (*where, "--blob-name", LOCK))
    give_up = time.monotonic() + wait_seconds
    told = False
    while not _acquired(lease, where):
        if time.monotonic() >= give_up:
            raise Occupied(_occupied(where))
        if not told:
            tell(f"somebody else publishes here; waiting for up to {wait_seconds:.0f} s …")
        told = True
        time.sleep(poll_seconds)
    lease.keep_in_background()
    try:
        yield lease
    finally:
        lease.give_back()


def _acquired(lease: Lease, where: Sequence[str]) -> bool:
    """Whether it is ours; the blob is made once an environment."""
    try:
        return lease.acquire()
    except AzureFailed as error:
        if "BlobNotFound" not in str(error):
            raise
    _make(lease.azure, where)
    return lease.acquire()


def _make(azure: Azure, where: Sequence[str]) -> None:
    """Whoever comes second finds it, and perhaps leased."""
    with tempfile.TemporaryDirectory(prefix="tessera-lease-") as folder:
        path = Path(folder) / LOCK
        path.touch()
        try:
            azure.ask("storage", "blob", "upload", *where, "--name", LOCK, "--file", str(path), "--overwrite", "false",
                      "--no-progress")  # fmt: skip
        except AzureFailed as error:
            if "BlobAlreadyExists" not in str(error) and _LOST not in str(error):
                raise


def _occupied(where: Sequence[str]) -> str:
    command = " ".join(["az storage blob lease break", *where, "--blob-name", LOCK, "--lease-break-period", "0"])
    return (
        "somebody else publishes here, so nothing was changed. Wait until they are done: the lease ends by itself a "
        f"minute after a process that died. Only if you know that one hangs, and have ended it: `{command}`."
    )
