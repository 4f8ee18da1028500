"""The protocol spoken by hand: requests signed as Microsoft documents it, without any code of the emulator.

https://learn.microsoft.com/rest/api/cosmos-db/access-control-on-cosmosdb-resources
"""

import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import quote

import httpx
import orjson

type Reply = httpx.Response
LISTINGS = "dbs/tessera/colls/listings"


@dataclass
class Rest:
    """A client of one account."""

    http: httpx.AsyncClient
    url: str
    key: str

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        partition: Any = None,
        headers: dict[str, str] | None = None,
        at: datetime | None = None,
        content: bytes | None = None,
    ) -> Reply:
        """Send one request.

        :param path: a resource or a feed, ids as they are
        :param partition: the value, or the list of values, of the partition-key header
        :param at: the date it is signed with; default: now
        """
        date = format_datetime(at or datetime.now(UTC), usegmt=True)
        sent = {
            "authorization": self.authorization(method, path, date),
            "x-ms-date": date,
            "x-ms-version": "2020-07-15",
        }
        if partition is not None:
            values = partition if isinstance(partition, list) else [partition]
            sent["x-ms-documentdb-partitionkey"] = orjson.dumps(values).decode()
        data = content if content is not None else b"" if body is None else orjson.dumps(body)
        return await self.http.request(
            method, f"{self.url}/{quote(path)}", content=data, headers={**sent, **(headers or {})}
        )

    def authorization(self, method: str, path: str, date: str) -> str:
        """The header that proves who asks."""
        parts = path.split("/") if path else []
        kind = parts[-1] if len(parts) % 2 else parts[-2] if parts else ""
        link = "/".join(parts[:-1]) if len(parts) % 2 else path
        text = f"{method.lower()}\n{kind}\n{link}\n{date.lower()}\n\n"
        signature = b64encode(hmac.new(b64decode(self.key), text.encode(), hashlib.sha256).digest()).decode()
        return quote(f"type=master&ver=1.0&sig={signature}", safe="")

    async def create(self, document: dict[str, Any], *, container: str = LISTINGS, **headers: str) -> Reply:
        """Create a document in its partition."""
        return await self.ask("POST", f"{container}/docs", document, partition=document["list_id"], headers=headers)

    async def query(self, text: str, *, partition: Any = "public", container: str = LISTINGS, **more: Any) -> Reply:
        """Ask a query; `more`: `parameters` by name, `headers`."""
        parameters = [{"name": f"@{name}", "value": value} for name, value in more.get("parameters", {}).items()]
        headers = {
            "content-type": "application/query+json",
            "x-ms-documentdb-isquery": "True",
            **more.get("headers", {}),
        }
        body = {"query": text, "parameters": parameters}
        return await self.ask("POST", f"{container}/docs", body, partition=partition, headers=headers)

    async def batch(self, operations: list[dict[str, Any]], *, partition: Any = "public") -> Reply:
        """Perform a transactional batch."""
        headers = {"x-ms-cosmos-is-batch-request": "True", "x-ms-cosmos-batch-atomic": "True"}
        return await self.ask("POST", f"{LISTINGS}/docs", operations, partition=partition, headers=headers)

    async def container(self, name: str, **definition: Any) -> str:
        """Make a container in the database; its path."""
        body = {"id": name, "partitionKey": {"paths": ["/list_id"], "kind": "Hash", "version": 2}, **definition}
        made = await self.ask("POST", "dbs/tessera/colls", body)
        assert made.status_code == 201, made.text
        return f"dbs/tessera/colls/{name}"

    async def fault(self, kind: str, **rule: Any) -> None:
        """Let something fail."""
        reply = await self.http.post(f"{self.url}/_emulator/faults", json={"kind": kind, "times": 1, **rule})
        assert reply.status_code == 200, reply.text


def ids(reply: Reply) -> list[str]:
    """The ids of the documents in an answer."""
    assert reply.status_code == 200, reply.text
    return [document["id"] for document in reply.json()["Documents"]]
