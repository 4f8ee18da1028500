"""Which events of a list are wanted and in which order, as the store's conditions. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum, unique
from typing import Final

from functions.catalog.events import EventState
from shared.kernel.clock import stamp
from shared.kernel.text import folded
from shared.store.port import Count, OrderBy, Where

FACET_VALUES_MAX: Final = 50


@unique
class Sort(StrEnum):
    """In which order a list comes; a leading minus turns it round."""

    DATE = "date"
    DATE_DESCENDING = "-date"
    NAME = "name"
    NAME_DESCENDING = "-name"
    PRICE = "price"
    PRICE_DESCENDING = "-price"

    def order(self) -> OrderBy:
        """As the store is told; `infra/topology.json` has an index for each."""
        return OrderBy(_PROPERTIES[self.lstrip("-")], descending=self.startswith("-"))


_PROPERTIES: Final = {"date": "starts_at", "name": "name_key", "price": "price_minor"}


@unique
class Facet(StrEnum):
    """What events are counted by."""

    CITY = "city"
    CATEGORY = "category"
    MONTH = "month"
    CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value and how many events have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events are wanted; what is None or empty does not matter.

    :param words: folded; each must occur in the event's texts
    :param city: any case and accents
    :param category: any case and accents
    :param begins: the event is not over by then
    :param ends: the event has begun before then
    :param price_min: of the cheapest ticket, in minor units of `currency`
    :param price_max: likewise
    :param available: it is not sold out
    """

    words: tuple[str, ...] = ()
    city: str | None = None
    category: str | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    price_min: int | None = None
    price_max: int | None = None
    currency: str | None = None
    available: bool = False

    def where(self, *, but: Facet | None = None) -> list[Where]:
        """The conditions of a published event that is wanted.

        :param but: leave its own conditions out: who counts by city wants to see the other cities too
        """
        found = [Where("state", "=", EventState.PUBLISHED.value)]
        if but is not Facet.CITY and self.city is not None:
            found.append(Where("city_key", "=", folded(self.city)))
        if but is not Facet.CATEGORY and self.category is not None:
            found.append(Where("category_key", "=", folded(self.category)))
        if but is not Facet.MONTH:
            found += self._when()
        if but is not Facet.CURRENCY:
            found += self._price()
        if self.available:
            found.append(Where("sold_out", "=", False))
        return found + [Where("search", "contains", word) for word in self.words]

    def _when(self) -> Iterable[Where]:
        if self.begins is not None:
            yield Where("ends_at", ">", stamp(self.begins))
        if self.ends is not None:
            yield Where("starts_at", "<", stamp(self.ends))

    def _price(self) -> Iterable[Where]:
        if self.currency is not None:
            yield Where("currency", "=", self.currency)
        if self.price_min is not None:
            yield Where("price_minor", ">=", self.price_min)
        if self.price_max is not None:
            yield Where("price_minor", "<=", self.price_max)


GROUPED_BY: Final = {
    Facet.CITY: ("city_key", "city"),
    Facet.CATEGORY: ("category_key", "category"),
    Facet.MONTH: ("month",),
    Facet.CURRENCY: ("currency",),
}


@dataclass(frozen=True, slots=True)
class Facets:
    """How many events are wanted, and how many there would be of each value."""

    total: int
    values: dict[Facet, list[FacetValue]] = field(default_factory=dict)


def facet_values(facet: Facet, counts: Iterable[Count]) -> list[FacetValue]:
    """The values of a facet: spellings that fold alike are one, shown as most events write it.

    :param counts: by `GROUPED_BY[facet]`, the largest first
    :returns: the most frequent first, months in their order; at most `FACET_VALUES_MAX`
    """
    shown: dict[str, str] = {}
    numbers: dict[str, int] = {}
    for count in counts:
        shown.setdefault(count.values[0], count.values[-1])
        numbers[count.values[0]] = numbers.get(count.values[0], 0) + count.number
    by_frequency = sorted(numbers, key=lambda key: (-numbers[key], key))
    keys = sorted(numbers) if facet is Facet.MONTH else by_frequency
    return [FacetValue(shown[key], numbers[key]) for key in keys[:FACET_VALUES_MAX]]
