"""The DynamoDB cache passes the contract of caches on ministack, with its own client and with a user's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from dynamodb_fixtures import TABLE, credentials, dynamodb, endpoint
from dynamodb_steps import open_by_client, open_by_table, open_cache
from store_variants import StoreVariant

from m2m_auth.caches.protocol import TokenCache
from m2m_auth.testing import CacheContract

pytestmark = pytest.mark.processes

__all__ = ["credentials", "dynamodb", "endpoint"]


class TestOwnClient(CacheContract):
    """With the client that the cache makes."""

    lease_rounds = 50

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_cache, endpoint, TABLE)


class TestUsersClient(StoreVariant):
    """With a client of boto3."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_by_client, endpoint, TABLE)


class TestTableOfBoto3(StoreVariant):
    """With a boto3 Table, whose client takes and returns Python's values."""

    @pytest.fixture
    def open_cache(self, endpoint: str) -> Callable[[], TokenCache]:
        """Opens the same table each time, in any process."""
        return partial(open_by_table, endpoint, TABLE)
