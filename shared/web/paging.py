"""What every list that comes in pages reads of its caller."""

from pydantic import Field

from shared.web.endpoint import Wire


class PageQuery(Wire):
    """How much of a list, and from where."""

    limit: int = Field(default=20, ge=1, le=100, description="items a page")
    continuation: str | None = Field(default=None, max_length=2_000, description="from the previous page")
