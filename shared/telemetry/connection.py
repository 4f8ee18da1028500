"""Where telemetry goes and how it is signed, as Azure's settings tell it. Pure.

`APPLICATIONINSIGHTS_CONNECTION_STRING` and `APPLICATIONINSIGHTS_AUTHENTICATION_STRING` are the names and forms that the
Functions host uses too (https://learn.microsoft.com/azure/azure-functions/functions-app-settings).
"""

import re
from dataclasses import dataclass
from typing import Final, Self

ANSWER_SECONDS_MAX: Final = 5.0  # to connect, to begin answering, and between any two parts of an answer
_KEY: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ENDPOINT: Final = re.compile(r"https?://[^/?#\s]+/?")
_FORM: Final = "InstrumentationKey=<UUID>;IngestionEndpoint=https://<host>/"


@dataclass(frozen=True, slots=True)
class Connection:
    """An Application Insights resource.

    :param endpoint: of its ingestion, without a trailing slash
    """

    instrumentation_key: str
    endpoint: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a connection string; what else it names (live metrics, the application's id) is not used.

        :raises ValueError: no key or no endpoint in it, or not `name=value` parts with `;` between
        """
        parts = [part.partition("=") for part in text.split(";")]
        known = {name.strip().lower(): value.strip() for name, _, value in parts}
        # OpenCensus reads the environment's copy by itself, and cannot read an empty part or an `=` in a value.
        unread = any(not name.strip() or not equals or "=" in value for name, equals, value in parts)
        if unread or known.get("authorization", "ikey").lower() != "ikey":
            raise ValueError(f"must be like {_FORM}")
        key, endpoint = known.get("instrumentationkey", ""), known.get("ingestionendpoint", "")
        if not _KEY.fullmatch(key) or not _ENDPOINT.fullmatch(endpoint):
            raise ValueError(f"must be like {_FORM}")
        return cls(key.lower(), endpoint.rstrip("/"))


@dataclass(frozen=True, slots=True)
class Authentication:
    """Who sends: the managed identity, or nobody in particular, since the key in the connection string is no secret.

    :param client_id: of a user-assigned identity; empty for the system-assigned one
    """

    by_identity: bool = False
    client_id: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """From an authentication string: empty, `Authorization=AAD`, or `Authorization=AAD;ClientId=<UUID>`.

        :raises ValueError: anything else
        """
        if not text.strip():
            return cls()
        parts = [part.partition("=") for part in text.strip().strip(";").split(";")]
        known = {name.strip().lower(): value.strip() for name, _, value in parts}
        client_id = known.get("clientid", "")
        fits = known.get("authorization", "").lower() == "aad" and known.keys() <= {"authorization", "clientid"}
        if not fits or ("clientid" in known and not _KEY.fullmatch(client_id)):
            raise ValueError("must be Authorization=AAD or Authorization=AAD;ClientId=<UUID>")
        return cls(by_identity=True, client_id=client_id)
