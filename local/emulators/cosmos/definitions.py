"""The account, its databases and containers, and the ranges of a container, as resources."""

from typing import Any

import orjson

from local.emulators.cosmos import charges
from local.emulators.cosmos.account import Account
from local.emulators.cosmos.containers import RANGES, Container, Json, check_database, checked
from local.emulators.cosmos.errors import Refused, unsupported
from local.emulators.cosmos.requests import Answer, Asking, as_json

CONSISTENCY = "Strong"
_OFFERS = ("x-ms-offer-throughput", "x-ms-cosmos-offer-autopilot-settings", "x-ms-offer-type")


class Definitions:
    """Serves everything but documents."""

    def __init__(self, account: Account) -> None:
        self._account = account

    async def answer(self, asking: Asking) -> Answer:
        """The answer to a request about a definition.

        :raises Refused: what Cosmos DB would refuse, or 501
        """
        match asking.kind:
            case "":
                return self._account_itself(asking)
            case "dbs":
                return await self._databases(asking)
            case "colls":
                return await self._containers(asking)
            case _:
                return self._ranges(asking)

    def _account_itself(self, asking: Asking) -> Answer:
        """https://learn.microsoft.com/rest/api/cosmos-db/get-database-account"""
        if asking.method != "GET":
            raise Refused(405, f"{asking.method} is not possible on the account.")
        here = f"{asking.headers.get('x-emulator-scheme', 'http')}://{asking.headers['host']}/"
        location = [{"name": "Local", "databaseAccountEndpoint": here}]
        return _answer(
            {
                "_self": "",
                "id": "local",
                "_rid": "local",
                "media": "//media/",
                "addresses": "//addresses/",
                "_dbs": "//dbs/",
                "writableLocations": location,
                "readableLocations": location,
                "enableMultipleWriteLocations": False,
                "userReplicationPolicy": {"asyncReplication": False, "minReplicaSetSize": 3, "maxReplicasetSize": 4},
                "userConsistencyPolicy": {"defaultConsistencyLevel": CONSISTENCY},
                "systemReplicationPolicy": {"minReplicaSetSize": 3, "maxReplicasetSize": 4},
                "readPolicy": {"primaryReadCoefficient": 1, "secondaryReadCoefficient": 1},
                "queryEngineConfiguration": orjson.dumps({"maxSqlQueryInputLength": 262144}).decode(),
            }
        )

    async def _databases(self, asking: Asking) -> Answer:
        account = self._account
        match asking.method, asking.names:
            case "GET", ():
                return _answer(_listed("Databases", "", [found.document() for found in account.databases()]))
            case "POST", ():
                _no_query(asking)
                _no_offer(asking)
                database = await account.create_database(check_database(_json(asking)))
                return _answer(database.document(), 201)
            case "GET", (name,):
                return _answer(account.database(name).document())
            case "DELETE", (name,):
                await account.delete_database(account.database(name))
                return Answer(204, charge=charges.MANAGEMENT)
        raise Refused(405, f"{asking.method} is not possible here.")

    async def _containers(self, asking: Asking) -> Answer:
        account = self._account
        database = account.database(asking.names[0])
        match asking.method, asking.names[1:]:
            case "GET", ():
                found = [container.document() for container in account.containers(database)]
                return _answer(_listed("DocumentCollections", database.rid, found))
            case "POST", ():
                _no_query(asking)
                _no_offer(asking)
                container = await account.create_container(database, checked(_json(asking)))
                return _answer(container.document(), 201)
            case "GET", (name,):
                return _answer(account.container(database.id, name).document())
            case "PUT", (name,):
                return await self._replace_container(account.container(database.id, name), checked(_json(asking)))
            case "DELETE", (name,):
                await account.delete_container(account.container(database.id, name))
                return Answer(204, charge=charges.MANAGEMENT)
        raise Refused(405, f"{asking.method} is not possible here.")

    async def _replace_container(self, container: Container, definition: Json) -> Answer:
        """https://learn.microsoft.com/rest/api/cosmos-db/replace-a-collection: key and unique keys stay as they are."""
        for name in ("id", "partitionKey", "uniqueKeyPolicy"):
            if definition.get(name) != container.definition.get(name):
                raise Refused(400, f"The {name} of a container cannot be changed.")
        if definition.get("defaultTtl") != container.definition.get("defaultTtl"):
            raise unsupported("another default time to live for a container that exists")
        return _answer((await self._account.replace_container(container, definition)).document())

    def _ranges(self, asking: Asking) -> Answer:
        """https://learn.microsoft.com/rest/api/cosmos-db/get-partition-key-ranges"""
        if asking.method != "GET":
            raise Refused(405, f"{asking.method} is not possible on ranges.")
        container = self._account.container(asking.names[0], asking.names[1])
        etag = f'"{len(RANGES)}"'
        if asking.headers.get("if-none-match") == etag:
            return Answer(304, charge=charges.MANAGEMENT, headers={"etag": etag})
        ranges = [
            {
                "_rid": container.rid,
                "id": part.id,
                "_etag": etag,
                "minInclusive": part.low,
                "maxExclusive": part.high,
                "ridPrefix": int(part.id),
                "_self": f"dbs/{container.database.rid}/colls/{container.rid}/pkranges/{part.id}/",
                "throughputFraction": 1 / len(RANGES),
                "status": "online",
                "parents": [],
                "_ts": container.ts,
            }
            for part in RANGES
        ]
        answer = _answer(_listed("PartitionKeyRanges", container.rid, ranges))
        answer.headers["etag"] = etag
        return answer


def _answer(document: Json, status: int = 200) -> Answer:
    headers = {"etag": document["_etag"]} if "_etag" in document else {}
    return Answer(status, as_json(document), charges.MANAGEMENT, headers)


def _listed(kind: str, rid: str, found: list[Json]) -> Json:
    return {"_rid": rid, kind: found, "_count": len(found)}


def _json(asking: Asking) -> Any:
    try:
        return orjson.loads(asking.body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"The request payload is invalid: {error}") from None


def _no_offer(asking: Asking) -> None:
    """https://learn.microsoft.com/rest/api/cosmos-db/common-cosmosdb-rest-request-headers#request-headers"""
    if any(asking.headers.get(name) for name in _OFFERS):
        raise unsupported("offers (throughput); leave it out, nothing is throttled but on demand")


def _no_query(asking: Asking) -> None:
    if asking.flag("x-ms-documentdb-isquery") or "query+json" in asking.headers.get("content-type", ""):
        raise unsupported("queries over databases and containers; read them by id, or all of them")
