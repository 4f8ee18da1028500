"""What every party wrote down: Tessera's store and bus, the payment double's ledger, the mailbox, the clients.

Read with nothing but sqlite3 and HTTP, so that no code under test stands between the oracle and the facts.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.databases import Document, Message, Record, read_documents, read_messages
from tests.faults.shop import Shop


@dataclass(slots=True)
class Answers:
    """What clients were told, for good.

    :param orders: every order a client heard of: the last answer it got
    :param keys: how many different orders each person asked for, by their e-mail address
    :param orders_of_keys: the order ids each Idempotency-Key was answered with
    :param paid_pages: orders whose hosted page said that the payment went through
    :param left_unpaid: orders whose buyers walked away
    :param errors: answers nobody should get: 500, or a status the contract does not have
    """

    orders: dict[str, Record] = field(default_factory=dict)
    keys: Counter[str] = field(default_factory=Counter)
    orders_of_keys: dict[str, set[str]] = field(default_factory=dict)
    paid_pages: set[str] = field(default_factory=set)
    seen_paid: set[str] = field(default_factory=set)
    refund_asked: set[str] = field(default_factory=set)
    refund_promised: set[str] = field(default_factory=set)
    left_unpaid: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    refused: int = 0
    interrupted: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Books:
    """Everything, once nothing moves any more.

    :param pools: capacity of each pool as published, by pool id
    :param documents: the store's, by container, partition and id
    :param messages: the bus's: queue, state (0 ready, 1 locked, 2 scheduled, 3 dead), id, reason
    :param errors: what the host logged as an error, but for workers that were killed
    :param mails: how many copies of each Message-ID the mailbox has
    """

    pools: dict[str, int]
    documents: dict[Document, Record]
    messages: list[Message]
    sessions: list[Record]
    intents: list[Record]
    refunds: list[Record]
    mails: Counter[str]
    errors: list[str]
    answers: Answers

    def of_kind(self, container: str, kind: str) -> list[Record]:
        """The documents of one kind, each with its `partition` and `id`."""
        return [
            {**value, "_partition": partition, "_id": id_}
            for (found, partition, id_), value in self.documents.items()
            if found == container and value.get("kind") == kind
        ]

    @property
    def orders(self) -> dict[str, Record]:
        """The orders by id."""
        return {order["order_id"]: order for order in self.of_kind("orders", "order")}


async def read_books(shop: Shop, answers: Answers) -> Books:
    """Read them all."""
    data = shop.stack.data
    state, documents = await shop.stripe("state"), read_documents(data)
    return Books(
        pools={pool["pool_id"]: pool["capacity"] for pool in _published(documents, shop.event["event_id"])},
        documents=documents,
        messages=read_messages(data),
        sessions=state["sessions"],
        intents=state["payment_intents"],
        refunds=state["refunds"],
        mails=await _mails(shop),
        errors=read_errors(data),
        answers=answers,
    )


def read_errors(data: Path) -> list[str]:
    """Every error in the host's log; a killed worker that is started again is none."""
    found = []
    for line in (data / "host.log").read_text().splitlines():
        if not line.startswith("{"):
            found.append(line)  # a traceback nobody caught
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # cut short by a kill
        if entry["level"] in {"ERROR", "CRITICAL"} and not entry["message"].startswith("Worker ended"):
            found.append(f"{entry.get('function', '')}: {entry['message']}"[:300])
    return found


def _published(documents: Mapping[Document, Record], event_id: str) -> list[Record]:
    """The pools of an event as it says itself."""
    pools: list[Record] = documents["events", event_id, "event"]["pools"]
    return pools


async def _mails(shop: Shop) -> Counter[str]:
    found: Counter[str] = Counter()
    before = ""
    while True:
        page = await shop.mailbox(f"api/messages?limit=1000{before}")
        found.update(mail["message_id"] for mail in page["messages"])
        if page["next"] is None:
            return found
        before = f"&before={page['next']}"
