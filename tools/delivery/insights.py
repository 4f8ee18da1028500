"""Asking Application Insights: https://learn.microsoft.com/rest/api/application-insights/query/execute"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tools.delivery.azure import AzureFailed

API: Final = "https://api.applicationinsights.io"
SCOPE: Final = "https://api.applicationinsights.io/.default"
TIMESPAN: Final = "PT1H"
REQUEST_SECONDS: Final = 30.0

type Row = dict[str, Any]


class NotFoundYet(Exception):
    """What was looked for has not come within the patience; or Application Insights does not answer, and how."""


@dataclass(frozen=True, slots=True)
class Insights:
    """An Application Insights resource.

    :param api: where it is asked
    :param app_id: which resource, by its application id
    :param token: gives an access token for it; empty where none is asked for
    """

    api: str
    app_id: str
    token: Callable[[], str]

    def rows(self, query: str) -> list[Row]:
        """What a query in KQL finds.

        :raises NotFoundYet: it was refused, or no answer
        """
        bearer = self.token()
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            answer = httpx.post(
                f"{self.api}/v1/apps/{self.app_id}/query", json={"query": query, "timespan": TIMESPAN},
                headers=headers, timeout=REQUEST_SECONDS,
            )  # fmt: skip
        except httpx.TransportError as error:
            raise NotFoundYet(f"{self.api} does not answer: {str(error) or type(error).__name__}") from error
        if not answer.is_success:
            raise NotFoundYet(f"{self.api}: {answer.status_code} {answer.text[:300]}")
        table = answer.json()["tables"][0]
        names = [column["name"] for column in table["columns"]]
        return [dict(zip(names, row, strict=True)) for row in table["rows"]]

    def soon(self, query: str, *, seconds: float, poll_seconds: float, until: Callable[[list[Row]], bool]) -> list[Row]:
        """What a query finds, as soon as that is enough: telemetry comes minutes after what it tells of.

        :raises NotFoundYet: not within the patience
        """
        give_up = time.monotonic() + seconds
        while True:
            trouble = ""
            try:
                found = self.rows(query)
            except (NotFoundYet, AzureFailed) as error:  # the token is az's
                found, trouble = [], str(error)
            if not trouble and until(found):
                return found
            if time.monotonic() >= give_up:
                raise NotFoundYet(trouble or f"not within {seconds:.0f} s: {query} found {found}")
            time.sleep(poll_seconds)
