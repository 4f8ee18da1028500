"""The Cosmos DB trigger on a laptop: one lease a function, batches in order.

Like Azure's trigger it moves on past a failed batch, unless the function declares `@retry`
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-error-pages#retries); skipping is logged loudly.
"""

import asyncio
import logging

from local.host.claims import Claims
from local.host.runtime import Datum, Outcome, Runtime
from local.host.stopping import Stop, keep_doing
from local.host.triggers import FeedFunction
from shared.store.port import ChangeFeed, FeedBatch, LeaseLost, StoreError

log = logging.getLogger("local.host.feeds")

LEASE_SECONDS = 5.0
_RENEW_SECONDS = 1.0
_IDLE_SECONDS = 0.25  # also how late a stop may be noticed
# Changes arrive one commit at a time; a short pause lets a burst become one batch instead of a hundred, and a document
# that changes twice within it is handed on once. Azure's trigger pauses 5 s by default (FeedPollDelay).
_GATHER_SECONDS = 0.05


class FeedPump:
    """Feeds one function from its container.

    :param owner: unique to this process, so that a lease is held by one process at a time
    """

    def __init__(
        self, function: FeedFunction, feed: ChangeFeed, runtime: Runtime, claims: Claims, *, owner: str, stop: Stop
    ) -> None:
        self._function = function
        self._feed = feed
        self._runtime = runtime
        self._claims = claims
        self._owner = owner
        self._begun = function.from_beginning
        self._stop = stop
        self._holds = False

    async def run(self) -> None:
        """Pump until a stop is requested, finish the batch in hand, give the lease up."""
        try:
            await keep_doing(f"Feed {self._function.lease}", self._step, self._stop)
        finally:
            await self._release()

    async def _step(self) -> None:
        if not await self._held():
            await self._stop.sleep(_IDLE_SECONDS)
            return
        try:
            batch = await self._feed.changes(
                self._function.container, self._function.lease, owner=self._owner, limit=self._function.documents_max
            )
            if not self._begun:
                await self._skip_history(batch)
            elif batch is None and self._function.poll_seconds:
                # The lease outlives the pause, or another process would take it each time.
                await self._stop.sleep(min(self._function.poll_seconds, LEASE_SECONDS / 2))
            elif batch is None:
                # Directly, with nothing awaited since `changes`: then no wake-up is lost.
                await self._feed.wait(_IDLE_SECONDS)
                await self._stop.sleep(_GATHER_SECONDS)
            elif await self._done_with(batch):
                await self._feed.advance(
                    self._function.container, self._function.lease, owner=self._owner, position=batch.position
                )
        except LeaseLost:
            self._holds = False
            log.warning("Feed %s: the lease went to another process", self._function.lease)

    async def _skip_history(self, batch: FeedBatch | None) -> None:
        """Without `startFromBeginning` a lease seen for the first time begins at the changes to come."""
        lease = self._function.lease
        if batch is None or await self._claims.has_begun(lease):
            if not await self._claims.has_begun(lease):
                await self._claims.begin(lease)
                log.info("Feed begins at the changes to come", extra={"lease": lease})
            self._begun = True
        else:
            await self._feed.advance(self._function.container, lease, owner=self._owner, position=batch.position)

    async def _held(self) -> bool:
        """Whether the lease is ours; the feed writes only when it is time to renew."""
        self._holds = await self._feed.acquire(
            self._function.container, self._function.lease, owner=self._owner, seconds=LEASE_SECONDS
        )
        return self._holds

    async def _done_with(self, batch: FeedBatch) -> bool:
        """Invoke, and again as `@retry` says; False when we were stopped, so that the lease must not move.

        :raises LeaseLost: another process took over while we worked
        """
        renewing = asyncio.create_task(self._keep_renewing())
        try:
            finished = await self._attempts(batch)
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)
        if not self._holds:
            raise LeaseLost(self._function.lease)
        return finished

    async def _attempts(self, batch: FeedBatch) -> bool:
        value = Datum(batch.text, "json")
        retry, failures, error = self._function.retry, 0, None
        while self._holds:
            outcome = await self._runtime.invoke(self._function, value, {}, retry_count=failures, retry_error=error)
            if outcome.ok:
                return True
            failures, error = failures + 1, outcome.error
            again = retry is not None and retry.allows(failures)
            self._report(outcome, batch, failures, again=again)
            if retry is None or not again:
                return True
            await self._stop.sleep(retry.delay_seconds(failures))
            if self._stop.requested:
                return False
        return False

    async def _keep_renewing(self) -> None:
        while self._holds:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                await self._held()
            except StoreError:
                log.exception("Feed %s: the lease could not be renewed", self._function.lease)

    async def _release(self) -> None:
        if not self._holds:
            return
        try:
            await self._feed.release(self._function.container, self._function.lease, owner=self._owner)
        except StoreError:
            log.exception("Feed %s: the lease could not be released and will lapse", self._function.lease)

    def _report(self, outcome: Outcome, batch: FeedBatch, failures: int, *, again: bool) -> None:
        ids = [str(document.get("id")) for document in batch.documents]
        text = (
            "failed, the batch is given again"
            if again
            else "FAILED AND THE BATCH IS SKIPPED, its changes are lost to it"
        )
        log.log(
            logging.ERROR if again else logging.CRITICAL,
            "Function %s %s: %s",
            self._function.name,
            text,
            outcome.error,
            extra={
                "function": self._function.name,
                "invocation_id": outcome.invocation.id,
                "lease": self._function.lease,
                "failures": failures,
                "documents": ids[:20],
                "documents_count": len(ids),
                "skipped": not again,
                "traceback": outcome.traceback,
            },
        )
