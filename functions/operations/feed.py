"""Operations' change feeds: the relay, one registration a publishing container."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import azure.functions as func

from functions.operations.relay import PUBLISHERS, Relay
from shared.events.envelope import OUTBOX_KIND
from shared.kernel.clock import utc_now
from shared.telemetry import observe
from shared.web.triggers import FeedHandler, change_feed


def feeds(relay: Relay) -> Sequence[func.Blueprint]:
    """The relay's change-feed triggers."""
    return [change_feed(_relay(relay, name), container=name, lease=f"relay-{name}") for name in PUBLISHERS]


def _tell_ages(documents: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """How long events waited between what they tell of and the bus."""
    for document in documents:
        since = document.get("outbox_since") if document.get("kind") == OUTBOX_KIND else None
        if since:
            observe("outbox_seconds", max(0.0, (now - datetime.fromisoformat(since)).total_seconds()))


def _relay(relay: Relay, container: str) -> FeedHandler:
    async def send(documents: func.DocumentList) -> None:
        found = [dict(document) for document in documents]
        await relay.send(container, found)
        _tell_ages(found, utc_now())

    send.__name__ = f"relay_{container}"
    return send
