"""docs/cost.md says what an environment costs, worked out from what Bicep declares."""

from pathlib import Path
from typing import Final

import pytest

from tools import standing

ROOT: Final = Path(__file__).parents[2]


def test_the_page_holds_the_table_as_it_is_worked_out() -> None:
    assert standing.table() in (ROOT / "docs" / "cost.md").read_text()


def test_a_resource_without_a_price_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "FREE", standing.FREE - {"microsoft.managedidentity/userassignedidentities"})
    with pytest.raises(standing.Unpriced, match="userAssignedIdentities has no price"):
        standing.standing("dev")


def test_what_is_provisioned_costs_whether_it_is_used_or_not() -> None:
    dev, prod = standing.standing("dev"), standing.standing("prod")
    assert prod["Cosmos DB"] == pytest.approx((4_000 + 10_000 + 20_000) / 10 * 0.00012 * 730 * 1.25)
    assert prod["Functions"] == pytest.approx(4 * 2 * 730 * 3_600 * 0.000004)
    assert dev["API Management"] == 48.0
    assert dev.keys() <= prod.keys()
