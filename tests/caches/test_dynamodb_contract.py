"""The DynamoDB cache passes the contract that every cache passes, on ministack: by our own client and by boto3's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from dynamodb_fixtures import TABLE, credentials, dynamodb, endpoint
from dynamodb_steps import open_by_client, open_by_table, open_cache

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

__all__ = ["credentials", "dynamodb", "endpoint"]


class TestOurClient(CacheContract):
    """The contract over a client of our own, races between processes included."""

    lease_rounds = 200

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_cache, endpoint, TABLE)


class TestGivenClient(CacheContract):
    """The contract over a client of boto3's."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_by_client, endpoint, TABLE)


class TestNativeTable(CacheContract):
    """The contract over a boto3 Table, whose client takes and gives Python's values."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_by_table, endpoint, TABLE)
