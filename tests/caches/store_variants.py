"""The contract for a second way to a store, without what the store itself does."""

from __future__ import annotations

from m2m_auth.testing import CacheContract


class StoreVariant(CacheContract):
    """For a cache that reaches a store in another way: by another client, over TLS, in a folder of its own.

    Times to live and races between processes depend on the store. Another class runs them, once for each store.
    """

    test_expiry = None  # type: ignore[assignment]
    test_lapsed_lease = None  # type: ignore[assignment]
    test_increment_expiry = None  # type: ignore[assignment]
    test_processes_race = None  # type: ignore[assignment]
