"""What a sale costs on Azure and where its ceilings are: `python -m bench.costs` prints the tables of docs/cost.md.

Computed from measured figures and published prices and limits, each with its page; a test compares the page with this.
"""

from dataclasses import dataclass
from typing import Final

from rich.console import Console

SIZES: Final = (1_000, 100_000, 1_000_000)

# Measured by `make bench` (figures `cosmos_ru_per_card_order`, `ru_per_hold`, `bus_messages_per_card_order`).
RU_PER_CARD_ORDER: Final = 165.0
RU_PER_HOLD: Final = 48.0
BUS_MESSAGES_PER_CARD_ORDER: Final = 3

# What is assumed of a sale, written out so that it can be doubted.
TICKETS_PER_ORDER: Final = 1  # the dearest way to sell
HOLDS_LOST_PER_TICKET: Final = 0.5  # placed and never paid: held, expired, given back
VIEWS_PER_TICKET: Final = 20
RU_PER_VIEW: Final = 4.0  # the event and its pool, strongly read; lists are kept for a second
RU_PER_LOST_HOLD: Final = RU_PER_HOLD + 60.0  # expired (one order, one outbox document) and its stock given back
# A message is sent, perhaps forwarded to up to three queues, received and completed there.
BUS_OPERATIONS_PER_ORDER: Final = 16
GIGABYTE_SECONDS_PER_ORDER: Final = 0.4  # 512 MB for what the functions of one order take together, waiting included
EXECUTIONS_PER_ORDER: Final = 14
TELEMETRY_KILOBYTES_PER_ORDER: Final = 12.0
TELEMETRY_KILOBYTES_PER_VIEW: Final = 0.8  # one request's envelope, measured; logs come on top
GIGABYTE_SECONDS_PER_VIEW: Final = 0.01

# US dollars, list prices, https://azure.microsoft.com/pricing/ (Cosmos DB serverless, Service Bus Standard, Functions
# on Flex Consumption, Azure Monitor). They differ by region and change.
PER_MILLION_RU: Final = 0.25
PER_MILLION_BUS_OPERATIONS: Final = 0.80
PER_GIGABYTE_SECOND: Final = 0.000026
PER_MILLION_EXECUTIONS: Final = 0.40
PER_GIGABYTE_TELEMETRY: Final = 2.76

# Limits.
PARTITION_RU_PER_SECOND: Final = 10_000  # https://learn.microsoft.com/azure/cosmos-db/concepts-limits
RU_PER_PLACE_ON_ITS_SHARD: Final = 35.0  # held, then sold: the part of an order that lies on the pool's shard
BUS_OPERATIONS_PER_SECOND: Final = (
    1_000  # Standard: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling
)
STRIPE_REQUESTS_PER_SECOND: Final = 100  # https://docs.stripe.com/rate-limits
STRIPE_REQUESTS_PER_ORDER: Final = 1


@dataclass(frozen=True, slots=True)
class Cost:
    """What a sale of a number of tickets costs, US dollars."""

    tickets: int
    store: float
    bus: float
    functions: float
    telemetry: float

    @property
    def total(self) -> float:
        """All of it, what runs without any sale left out."""
        return self.store + self.bus + self.functions + self.telemetry


def cost(tickets: int) -> Cost:
    """What selling so many tickets costs."""
    orders = tickets / TICKETS_PER_ORDER
    lost, views = tickets * HOLDS_LOST_PER_TICKET, tickets * VIEWS_PER_TICKET
    units = orders * RU_PER_CARD_ORDER + lost * RU_PER_LOST_HOLD + views * RU_PER_VIEW
    return Cost(
        tickets,
        store=units / 1e6 * PER_MILLION_RU,
        bus=(orders + lost) * BUS_OPERATIONS_PER_ORDER / 1e6 * PER_MILLION_BUS_OPERATIONS,
        functions=((orders + lost) * GIGABYTE_SECONDS_PER_ORDER + views * GIGABYTE_SECONDS_PER_VIEW)
        * PER_GIGABYTE_SECOND
        + ((orders + lost) * EXECUTIONS_PER_ORDER + views) / 1e6 * PER_MILLION_EXECUTIONS,
        telemetry=(orders * TELEMETRY_KILOBYTES_PER_ORDER + views * TELEMETRY_KILOBYTES_PER_VIEW)
        / 1e6
        * PER_GIGABYTE_TELEMETRY,
    )


def ceilings() -> dict[str, float]:
    """Card orders a second that each part allows."""
    return {
        "one shard of a pool (10,000 RU/s a partition)": PARTITION_RU_PER_SECOND / RU_PER_PLACE_ON_ITS_SHARD,
        "eight shards, each on a partition of its own": 8 * PARTITION_RU_PER_SECOND / RU_PER_PLACE_ON_ITS_SHARD,
        "Service Bus Standard (1,000 operations/s)": BUS_OPERATIONS_PER_SECOND / BUS_OPERATIONS_PER_ORDER,
        "Stripe in live mode (100 requests/s)": STRIPE_REQUESTS_PER_SECOND / STRIPE_REQUESTS_PER_ORDER,
        "an account of 100,000 RU/s": 100_000 / RU_PER_CARD_ORDER,
    }


def tables() -> str:
    """The two tables as Markdown."""
    lines = [
        "| tickets | Cosmos DB | Service Bus | Functions | telemetry | in all | a ticket |",
        "|---:|" + "---:|" * 6,
    ]
    for size in SIZES:
        found = cost(size)
        parts = (found.store, found.bus, found.functions, found.telemetry, found.total)
        cells = " | ".join(f"${part:,.2f}" for part in parts)
        lines.append(f"| {size:,} | {cells} | ${found.total / size:.5f} |")
    lines += ["", "| what | card orders a second | 100,000 tickets take |", "|---|---:|---:|"]
    for name, rate in ceilings().items():
        lines.append(f"| {name} | {rate:,.0f} | {100_000 / TICKETS_PER_ORDER / rate / 60:,.0f} min |")
    return "\n".join(lines)


if __name__ == "__main__":
    Console().print(tables(), markup=False, highlight=False, soft_wrap=True)
