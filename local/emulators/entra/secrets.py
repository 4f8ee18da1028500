"""Random texts."""

import os
from base64 import urlsafe_b64encode


def random_text(size: int) -> str:
    """`size` random bytes in URL-safe characters."""
    return urlsafe_b64encode(os.urandom(size)).rstrip(b"=").decode()
