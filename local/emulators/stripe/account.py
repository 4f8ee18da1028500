"""The emulated Stripe account: its objects, its clock, and the events it owes the world."""

import time
from dataclasses import dataclass, field
from typing import NamedTuple

from local.emulators.stripe.ledger import Ledger, Object, new_id
from local.emulators.stripe.webhooks import Outbox

API_VERSION = "2026-10-28.endive"  # what stripe 16.1 speaks; events are rendered in it


class Origin(NamedTuple):
    """The API request behind a change; a buyer's own action has none."""

    request_id: str | None = None
    idempotency_key: str | None = None


BUYER = Origin()


@dataclass
class Account:
    """Everything an operation needs."""

    ledger: Ledger
    outbox: Outbox
    public_url: str
    _skipped_seconds: int = field(init=False)

    def __post_init__(self) -> None:
        self._skipped_seconds = self.ledger.recall("skipped_seconds") or 0

    def now(self) -> int:
        """The account's time in Unix seconds; tests may have moved it ahead."""
        return int(time.time()) + self._skipped_seconds

    def skip(self, seconds: int) -> None:
        """Move the account's time ahead."""
        self._skipped_seconds += seconds
        self.ledger.remember("skipped_seconds", self._skipped_seconds)

    def emit(self, kind: str, thing: Object, origin: Origin) -> None:
        """Record an event with `thing` as it is now, and queue it for the webhook in the same transaction."""
        event: Object = {
            "id": new_id("evt"),
            "object": "event",
            "api_version": API_VERSION,
            "created": self.now(),
            "data": {"object": public(thing)},
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": origin.request_id, "idempotency_key": origin.idempotency_key},
            "type": kind,
        }
        # The kind serves as the status column, so that events can be listed by type.
        self.ledger.add(event | {"status": kind})
        self.outbox.queue(event["id"], kind)


def public(thing: Object) -> Object:
    """The object as clients see it: without what the emulator notes for itself."""
    hidden = {"status"} if thing["object"] == "event" else set()
    return {name: value for name, value in thing.items() if not name.startswith("_") and name not in hidden}
