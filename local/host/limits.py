"""What the front takes of a client: every limit of the connection, in one place (`docs/limits.md` has them as a table).

Sizes are those of Azure: the HTTP trigger's (functions-bindings-http-webhook-trigger#limits), else Kestrel's, the web
server inside the Functions host (`KestrelServerLimits`). Times are shorter than Kestrel's: a laptop has fewer files.
"""

import resource
from typing import Final

TARGET_BYTES_MAX: Final = 4_096  # path and query
HEAD_BYTES_MAX: Final = 32_768  # all names and values of the headers, and of a chunked body's trailers
HEADERS_MAX: Final = 100
HEAD_SECONDS: Final = 10.0  # from the first byte of a request, or the opening of the connection, to the last header
BODY_GRACE_SECONDS: Final = 5.0  # a body may be late by so much against `BODY_BYTES_PER_SECOND`
BODY_BYTES_PER_SECOND: Final = 240
ANSWER_SECONDS: Final = 10.0  # in which a client must take something of an answer that waits for it
LINGER_SECONDS: Final = 5.0  # what still comes after the answer is read and dropped so long, that the answer arrives
# Longer than clients keep idle connections, so that a connection is not closed under a request on its way.
KEEP_ALIVE_SECONDS: Final = 75
CONNECTIONS_MAX: Final = 8_192  # of one worker, and never more than half of the files it may open
TELL_SECONDS: Final = 60.0  # between two log lines that say so


def connections_max() -> int:
    """How many connections a worker holds at most: the store, the bus and the neighbours need files, too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return CONNECTIONS_MAX if files == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, files // 2)


def raise_file_limit() -> None:
    """Let this process open the files that so many connections need, as far as the system lets it.

    Shells start with 256 or 1,024, for programs that use `select`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS_MAX if hard == resource.RLIM_INFINITY else min(2 * CONNECTIONS_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
