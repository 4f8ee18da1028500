"""What the lists of events read and answer."""

from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from functions.catalog.events import EventState
from functions.catalog.filtering import Facet, Facets, FacetValue, Filters, Sort
from functions.catalog.listing import SEARCH_CHARACTERS_MAX
from shared.kernel.clock import Moment, StampedMoment
from shared.kernel.ids import EventId, OrganiserId
from shared.kernel.money import AMOUNT_MINOR_MAX, Currency, Money
from shared.kernel.text import words
from shared.web.endpoint import Wire
from shared.web.fields import PlannedMoment
from shared.web.paging import PageQuery
from shared.web.problem import rule_broken

QUERY_WORDS_MAX: Final = 8


def _wanted(text: str) -> str | None:
    """What a form sends for a field that was left empty filters nothing."""
    return text if text.strip() else None


def _findable(text: str) -> str | None:
    number = len(words(text))
    if not text.strip():
        return None
    if number == 0:
        raise rule_broken("must have words to look for", f"1–{QUERY_WORDS_MAX} words of letters or digits")
    if number > QUERY_WORDS_MAX:
        raise rule_broken(f"has {number} words", f"at most {QUERY_WORDS_MAX} words")
    return text


class FilterQuery(Wire):
    """Which events are wanted; every filter that is given must hold."""

    q: Annotated[str, Field(max_length=100), AfterValidator(_findable)] | None = Field(
        default=None,
        description="every word must occur in the event's name, venue, city, organiser, category or description; case, "
        "accents and punctuation do not matter. Of a long description only the beginning is searched: all these texts "
        f"together, each word once, as far as {SEARCH_CHARACTERS_MAX} characters go",
    )
    city: Annotated[str, Field(max_length=200), AfterValidator(_wanted)] | None = Field(
        default=None, description="the whole name, in any case and accents"
    )
    category: Annotated[str, Field(max_length=50), AfterValidator(_wanted)] | None = Field(
        default=None, description="likewise"
    )
    begins: PlannedMoment | None = Field(
        default=None, alias="from", description="events that are not over by then; ISO 8601 with its offset"
    )
    until: PlannedMoment | None = Field(default=None, description="events that have begun before then")
    price_min: int | None = Field(
        default=None, ge=0, le=AMOUNT_MINOR_MAX, description="of the cheapest ticket, in minor units; needs `currency`"
    )
    price_max: int | None = Field(default=None, ge=0, le=AMOUNT_MINOR_MAX, description="likewise")
    currency: Currency | None = Field(default=None, description="ISO 4217; events sold in it", validate_default=True)
    available: bool = Field(default=False, description="true: only events that are not sold out")

    @field_validator("until")
    @classmethod
    def _after_from(cls, until: Moment | None, info: ValidationInfo) -> Moment | None:
        begins = info.data.get("begins")
        if until is not None and begins is not None and until <= begins:
            raise PydanticCustomError("crossed", "must be after `from`", {"expected": "a later moment than `from`"})
        return until

    @field_validator("price_max")
    @classmethod
    def _above_minimum(cls, price_max: int | None, info: ValidationInfo) -> int | None:
        price_min = info.data.get("price_min")
        if price_max is not None and price_min is not None and price_max < price_min:
            raise PydanticCustomError("crossed", "must not be less than `price_min`", {"ge": price_min})
        return price_max

    @field_validator("currency")
    @classmethod
    def _of_prices(cls, currency: str | None, info: ValidationInfo) -> str | None:
        priced = any(info.data.get(name) is not None for name in ("price_min", "price_max"))
        if currency is None and priced:
            raise PydanticCustomError(
                "priced", "is missing: prices are compared within one currency", {"expected": "an ISO 4217 code"}
            )
        return currency

    def filters(self) -> Filters:
        """As the use case takes them."""
        return Filters(
            words=tuple(words(self.q)) if self.q else (),
            city=self.city,
            category=self.category,
            begins=self.begins,
            ends=self.until,
            price_min=self.price_min,
            price_max=self.price_max,
            currency=self.currency,
            available=self.available,
        )


class ListQuery(PageQuery, FilterQuery):
    """Which events are wanted, in which order, how many a page, and from where."""

    sort: Sort = Field(default=Sort.DATE, description="a leading minus turns it round; by price needs `currency`")

    @field_validator("sort")
    @classmethod
    def _comparable(cls, sort: Sort, info: ValidationInfo) -> Sort:
        by_price = sort in {Sort.PRICE, Sort.PRICE_DESCENDING}
        if by_price and info.data.get("currency", "refused already") is None:
            raise PydanticCustomError(
                "priced", "needs `currency`: prices are compared within one", {"expected": "`currency` beside it"}
            )
        return sort


class ListingView(BaseModel):
    """An event in a list."""

    event_id: EventId
    organiser_id: OrganiserId
    name: str
    category: str
    image_url: str
    venue: str
    city: str
    timezone: str
    starts_at: StampedMoment
    ends_at: StampedMoment
    price_from: Money
    state: EventState
    sold_out: bool = Field(default=False, description="no place is left just now; a few seconds late")

    @classmethod
    def of(cls, value: object) -> Self:
        """From a stored listing; what clients do not see is left out."""
        return cls.model_validate(value)


class EventPage(BaseModel):
    """A page of events."""

    items: list[ListingView]
    continuation: str | None = None


class FacetValueView(BaseModel):
    """A value and how many events have it.

    Cities, categories and currencies can be sent as the filters `city`, `category` and `currency`; a month as `from`
    and `until`.
    """

    value: str
    count: int

    @classmethod
    def all_of(cls, values: list[FacetValue]) -> list[Self]:
        """As clients see them."""
        return [cls(value=each.value, count=each.count) for each in values]


class FacetsView(BaseModel):
    """How many events are wanted, and how many of each value there would be without a filter on that very thing."""

    total: int
    cities: list[FacetValueView] = Field(description="the most frequent first")
    categories: list[FacetValueView] = Field(description="the most frequent first")
    months: list[FacetValueView] = Field(description="in which they begin at their venues, e.g. `2026-05`, in order")
    currencies: list[FacetValueView] = Field(description="the most frequent first")

    @classmethod
    def of(cls, facets: Facets) -> Self:
        """As clients see them."""
        return cls(
            total=facets.total,
            cities=FacetValueView.all_of(facets.values[Facet.CITY]),
            categories=FacetValueView.all_of(facets.values[Facet.CATEGORY]),
            months=FacetValueView.all_of(facets.values[Facet.MONTH]),
            currencies=FacetValueView.all_of(facets.values[Facet.CURRENCY]),
        )
