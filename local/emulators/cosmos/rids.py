"""Resource ids: 4 bytes for a database, 8 for a container, 16 for a document, each beginning with its owner's.

https://learn.microsoft.com/rest/api/cosmos-db/cosmosdb-resource-uri-syntax-for-rest
"""

from base64 import b64encode


def database_rid(number: int) -> str:
    """The `_rid` of a database."""
    return _text(_database(number))


def container_rid(database: int, number: int) -> str:
    """The `_rid` of a container; its highest bit tells it from a user."""
    return _text(_container(database, number))


def document_rid(database: int, container: int, number: int) -> str:
    """The `_rid` of a document."""
    return _text(_container(database, container) + number.to_bytes(8, "little"))


def _database(number: int) -> bytes:
    return (0x5E000000 | number).to_bytes(4, "big")


def _container(database: int, number: int) -> bytes:
    return _database(database) + (0x80000000 | number).to_bytes(4, "big")


def _text(data: bytes) -> str:
    return b64encode(data).decode().replace("/", "-")
