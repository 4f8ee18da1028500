"""Request charges follow what Microsoft publishes (see `local/emulators/cosmos/charges.py`)."""

import pytest

from local.emulators.cosmos import charges
from tests.emulators.cosmos.rest import LISTINGS, Reply, Rest

COSTS = "https://learn.microsoft.com/azure/cosmos-db/optimize-cost-reads-writes"
CONSISTENCY = "https://learn.microsoft.com/azure/cosmos-db/consistency-levels"
KB = 1024


@pytest.mark.parametrize(("size", "units"), [(100, 1), (KB, 1), (100 * KB, 10)])
def test_point_reads_cost_what_the_table_says_and_double_under_strong_consistency(size: int, units: float) -> None:
    assert charges.point_read(size) == 2 * units, (COSTS, CONSISTENCY)


@pytest.mark.parametrize(("size", "units"), [(100, 5), (KB, 5), (100 * KB, 50)])
def test_writes_cost_what_the_table_says(size: int, units: float) -> None:
    assert charges.insert(1, size) == charges.delete(size) == units, COSTS


def test_a_replace_costs_two_inserts_and_indexed_values_cost_more() -> None:
    assert charges.replace(3, KB) == charges.patch(3, KB) == 2 * charges.insert(3, KB)
    assert charges.insert(50, KB) > charges.insert(3, KB)


def units(reply: Reply) -> float:
    return float(reply.headers["x-ms-request-charge"])


async def test_every_answer_says_what_it_cost(rest: Rest) -> None:
    document = {"id": "a", "list_id": "public"}
    created = await rest.create(document)
    read = await rest.ask("GET", f"{LISTINGS}/docs/a", partition="public")
    query = await rest.query("SELECT * FROM c WHERE c.id = 'a'")
    missing = await rest.ask("GET", f"{LISTINGS}/docs/b", partition="public")
    refused = await rest.create(document)
    definition = await rest.ask("GET", LISTINGS)

    assert [units(created), units(read), units(missing), units(refused), units(definition)] == [5, 2, 1, 1, 1]
    assert units(query) > units(read)


async def test_a_query_costs_more_the_more_it_reads(rest: Rest) -> None:
    for number in range(30):
        await rest.create({"id": f"d{number}", "list_id": "public", "text": "x" * 500})

    one = await rest.query("SELECT * FROM c WHERE c.id = 'd7'")
    few = await rest.query("SELECT * FROM c", headers={"x-ms-max-item-count": "5"})
    many = await rest.query("SELECT * FROM c")

    assert units(one) < units(few) < units(many)


async def test_what_is_not_indexed_costs_nothing_extra(rest: Rest) -> None:
    """index-policy: by optimizing the number of paths that are indexed, one reduces the charge of writes."""
    nothing = {"includedPaths": [], "excludedPaths": [{"path": "/*"}]}
    document = {"id": "a", "list_id": "public", "values": {f"p{number}": number for number in range(30)}}

    everything = await rest.create(document, container=await rest.container("all"))
    bare = await rest.create(document, container=await rest.container("none", indexingPolicy=nothing))

    assert units(bare) == 5
    assert units(everything) == round(5 + charges.INDEXED_PROPERTY * (32 - 5), 2)
