"""Every measurement there is: what it counts and which labels it has; docs/telemetry.md says how to read them."""

from collections.abc import Mapping
from typing import Final

COUNTERS: Final[Mapping[str, str]] = {
    "authority_failures": "times that an issuer of tokens did not tell its keys, or told nonsense",
    "breakers_opened": "circuit breakers that opened",
    "bugs": "requests that ended in an error nobody expected",
    "bus_messages": "messages that Service Bus took from us",
    "check_ins": "tickets let in",
    "dead_letters_discarded": "dead letters discarded by hand",
    "dead_letters_replayed": "dead letters replayed by hand",
    "erasures_account_kept": "people forgotten whose account the directory refuses to delete",
    "directory_deletions_unseen": "accounts that the directory had no more, and was not seen to delete for good",
    "erasures_begun": "people who asked to be forgotten, or whom an admin forgot",
    "erasures_done": "people of whom nothing is left",
    "erasures_overdue": "tries to forget somebody that still was not done after a day",
    "events_not_relisted": "changes of stock that the lists could not follow",
    "feed_documents_unreadable": "changed documents that could not be read",
    "holds_refused": "demands for places that were not there",
    "holds_repaired": "holds that a repair timer moved",
    "inventory_violations": "shards whose counters do not add up",
    "late_payments": "payments for orders that could no longer take them",
    "mail_connections_lost": "kept connections to the mail server that died",
    "mails_possibly_doubled": "mails that may have gone out twice",
    "mails_refused": "mails that the mail server refused for good",
    "mails_sent": "mails that the mail server took",
    "orders_paid": "orders that became paid",
    "orders_placed": "orders that got their places",
    "orders_refused": "orders that were refused for lack of places",
    "orders_repaired": "orders that a repair timer looked after",
    "outbox_overdue": "events that were sent late, by the repair timer",
    "outbox_parked": "events that can never be sent",
    "refunds_failed": "refunds that the provider took on and that failed later",
    "telemetry_batches_lost": "batches of telemetry that were not taken",
    "telemetry_batches_sent": "batches of telemetry that were taken",
    "telemetry_dropped": "pieces of telemetry for which the queue was full",
    "telemetry_left_out": "pieces of telemetry that could not be told or looked through",
    "refunds_refused": "times that the provider refused to give money back",
    "tickets_sold": "tickets of orders that became paid",
    "webhooks_refused": "webhooks with a wrong signature",
    "webhooks_unreadable": "signed webhooks that could not be read",
}
GAUGES: Final[Mapping[str, tuple[str, str]]] = {  # by what is before the dot: the label's name, and what is measured
    "breaker": ("neighbour", "circuit breakers: 0 closed, 1 half open, 2 open"),
    "dead_letters": ("queue", "messages nobody could handle"),
}
HISTOGRAMS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "function_seconds": (("function", "outcome"), "calls of a function: ok, refused, postponed or failed"),
    "outbox_seconds": ((), "from what an event tells of to the bus"),
    "queue_seconds": (("queue",), "from a message being on its queue, or due, to its function"),
    "settlement_seconds": ((), "from the provider's word on a payment to an order that is paid"),
}
CHARGES: Final[
    Mapping[str, str]
] = {  # of the store; exporters of changes tell the calls as the number of request units
    "store_calls": "calls of the store",
    "request_units": "what those calls cost, in request units",
}
CHARGE_LABELS: Final = ("use_case", "container", "kind")
# To Application Insights each is told by its span, a dependency, and not as a metric.
SENDS: Final[Mapping[str, str]] = {"messages_sent": "messages that a topic or a queue took from us"}
SEND_LABELS: Final = ("use_case", "destination")
