"""Operations' change feeds: the relay, one registration a publishing container."""

from collections.abc import Sequence

import azure.functions as func

from functions.operations.relay import PUBLISHERS, Relay
from shared.web.triggers import FeedHandler, change_feed


def feeds(relay: Relay) -> Sequence[func.Blueprint]:
    """The relay's change-feed triggers."""
    return [change_feed(_relay(relay, name), container=name, lease=f"relay-{name}") for name in PUBLISHERS]


def _relay(relay: Relay, container: str) -> FeedHandler:
    async def send(documents: func.DocumentList) -> None:
        await relay.send(container, [dict(document) for document in documents])

    send.__name__ = f"relay_{container}"
    return send
