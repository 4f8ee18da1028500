"""Request charges, by what Microsoft publishes; where it publishes only a tendency, a line through its examples.

- Point reads and writes: 1 KB costs 1 RU to read and 5 to write, 100 KB cost 10 and 50, at session consistency
  (https://learn.microsoft.com/azure/cosmos-db/optimize-cost-reads-writes). Between these the charge is linear in the
  size here.
- Strong consistency doubles the charge of reads and queries, since two replicas are asked
  (https://learn.microsoft.com/azure/cosmos-db/consistency-levels#consistency-levels-and-throughput).
- Writes cost more the more properties are indexed, replaces about twice as much as inserts
  (https://learn.microsoft.com/azure/cosmos-db/key-value-store-cost, .../request-units#request-unit-considerations).
- A patch is charged like any other write, without much saved (https://learn.microsoft.com/azure/cosmos-db/
  partial-document-update-faq): as a replace here.
- Queries begin at about 2.3 RU for an indexed lookup at session consistency, and grow with what they load and return
  (https://learn.microsoft.com/azure/cosmos-db/optimize-cost-reads-writes#queries).
- A transactional batch costs the sum of its operations.

The true charges depend on the index and differ by some tenths: good for comparing designs, not for a bill.
"""

from collections.abc import Callable

type WriteCharge = Callable[[int, int], float]

KB = 1024
STRONG = 2.0  # reads at strong consistency
INDEXED_PROPERTY = 0.06  # per indexed value of a written document, beyond the first few
_FREE_PROPERTIES = 5
_QUERY_BASE = 2.28
_QUERY_SCANNED = 0.008  # per document the index led to
_QUERY_RETURNED_KB = 0.25
MANAGEMENT = 1.0  # reading definitions
FEED_EMPTY = 1.0


def point_read(size: int) -> float:
    """RUs for reading one document.

    :param size: its bytes
    """
    return _rounded(STRONG * _line(size, 1.0, 10.0))


def insert(indexed: int, size: int) -> float:
    """RUs for a new document.

    :param indexed: how many of its values the container indexes
    :param size: its bytes
    """
    return _rounded(_write(indexed, size))


def replace(indexed: int, size: int) -> float:
    """RUs for another content of a document: its old index entries go, the new ones come."""
    return _rounded(2 * _write(indexed, size))


def patch(indexed: int, size: int) -> float:
    """RUs for a patch."""
    return replace(indexed, size)


def delete(size: int) -> float:
    """RUs for removing a document."""
    return _rounded(_line(size, 5.0, 50.0))


def query(*, scanned: int, returned_bytes: int) -> float:
    """RUs for a page of a query.

    :param scanned: documents that had to be looked at
    """
    return _rounded(STRONG * (_QUERY_BASE + _QUERY_SCANNED * scanned + _QUERY_RETURNED_KB * returned_bytes / KB))


def feed(returned_bytes: int) -> float:
    """RUs for a page of the change feed."""
    return _rounded(FEED_EMPTY + STRONG * returned_bytes / KB * (9 / 99))


def _write(indexed: int, size: int) -> float:
    return _line(size, 5.0, 50.0) + INDEXED_PROPERTY * max(0, indexed - _FREE_PROPERTIES)


def _line(size: int, at_one_kb: float, at_hundred_kb: float) -> float:
    """The charge on the line through the two published sizes; nothing is cheaper than 1 KB."""
    return at_one_kb + (at_hundred_kb - at_one_kb) * max(0.0, size / KB - 1) / 99


def _rounded(charge: float) -> float:
    return round(charge, 2)
