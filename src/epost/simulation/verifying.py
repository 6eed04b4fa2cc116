"""A hundred simulated machines verify the same signatures: the process computes each once.

Every node still verifies, by the product's code; only libsodium's computation for exactly the same
signature, message and key is not made again. What it refused is computed each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

import nacl.bindings

REMEMBERED_MAX = 20_000


@contextmanager
def verified_once() -> Iterator[None]:
    """Let libsodium's verification be remembered for as long as the context is open."""
    genuine = nacl.bindings.crypto_sign_open
    nacl.bindings.crypto_sign_open = lru_cache(REMEMBERED_MAX)(genuine)
    try:
        yield
    finally:
        nacl.bindings.crypto_sign_open = genuine
