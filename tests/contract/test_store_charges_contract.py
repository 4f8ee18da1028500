"""What every store tells of its calls: each is charged once to its container, under what was asked of it."""

from collections.abc import Mapping

import pytest

from shared.store.port import AlreadyExists, Create, NotFound, Where
from shared.telemetry import charges, use_case
from tests.contract.harness import StoreUnderTest

type Calls = Mapping[tuple[str, str], int]


def calls() -> Calls:
    """How often the test's use case asked each container for what, so far."""
    return {(container, kind): each.calls for (who, container, kind), each in charges().items() if who == "charging"}


async def test_each_call_is_charged_to_its_container_and_kind_whatever_comes_of_it(under_test: StoreUnderTest) -> None:
    store, before = under_test.store, dict(calls())
    token = use_case.set("charging")
    try:
        await store.commit("orders", "o-1", [Create("a", {"state": "placed"}), Create("b", {"state": "paid"})])
        with pytest.raises(AlreadyExists):
            await store.commit("orders", "o-1", [Create("a", {})])
        await store.read("orders", "o-1", "a")
        with pytest.raises(NotFound):
            await store.read("wallets", "w-1", "nobody's")
        await store.query("orders", "o-1", where=[Where("state", "=", "paid")])
        await store.counts_by("orders", "o-1", by=["state"])
        with pytest.raises(ValueError, match="container"):
            await store.read("nowhere", "o-1", "a")  # refused before anything is asked
    finally:
        use_case.reset(token)

    found = {key: number - before.get(key, 0) for key, number in calls().items()}
    assert found == {("orders", "write"): 2, ("orders", "read"): 1, ("wallets", "read"): 1, ("orders", "query"): 2}
