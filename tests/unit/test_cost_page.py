"""docs/cost.md says what bench/costs.py computes, from the figures that docs/performance.md holds."""

import re
from pathlib import Path
from typing import Final

import pytest

from bench import costs

DOCS: Final = Path(__file__).parents[2] / "docs"


def measured(figure: str) -> float:
    """The median of a figure in the table of docs/performance.md."""
    row = re.search(rf"\(`{figure}`\) \| ([0-9.,]+) \|", (DOCS / "performance.md").read_text())
    assert row is not None, figure
    return float(row[1].replace(",", ""))


def test_the_page_holds_the_tables_as_they_are_computed() -> None:
    assert costs.tables() in (DOCS / "cost.md").read_text()


@pytest.mark.parametrize(
    ("figure", "used"),
    [
        ("cosmos_ru_per_card_order", costs.RU_PER_CARD_ORDER),
        ("ru_per_hold", costs.RU_PER_HOLD),
        ("bus_messages_per_card_order", float(costs.BUS_MESSAGES_PER_CARD_ORDER)),
    ],
)
def test_what_is_used_is_what_was_measured(figure: str, used: float) -> None:
    assert used == pytest.approx(measured(figure), rel=0.05)


def test_a_sale_a_thousand_times_as_large_costs_a_thousand_times_as_much() -> None:
    assert costs.cost(1_000_000).total == pytest.approx(1_000 * costs.cost(1_000).total)
