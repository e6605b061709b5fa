"""cachelib's DynamoDbCache takes every failure for "somebody else has it"; over it, we tell them apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cachelib
import pytest
from real_servers.stores import Store, start_dynamodb

from m2m_auth.caches.cachelib import CachelibTokenCache
from m2m_auth.errors import CacheUnavailable

ANYBODY = {"region_name": "eu-central-1", "aws_access_key_id": "key", "aws_secret_access_key": "hunter2"}


@pytest.fixture
def store() -> Iterator[Store]:
    """A server of the test's own."""
    with start_dynamodb() as store:
        yield store


@pytest.fixture
def theirs(store: Store) -> Iterator[Any]:
    """The user's cache, with its table made."""
    cache: Any = cachelib.DynamoDbCache("python-cache", endpoint_url=f"http://{store.address}", **ANYBODY)
    yield cache
    cache._table.meta.client.close()


def test_held_and_failing_are_two_answers(theirs: Any) -> None:
    """A lease that is taken is False; a table that is gone is a fault, for add, set, delete and get alike."""
    cache = CachelibTokenCache(theirs)
    assert cache.add("lease", b"owner", 60) is True
    assert cache.add("lease", b"other", 60) is False
    theirs._table.delete()
    for operation in (
        lambda: cache.add("lease", b"other", 60),
        lambda: cache.set("key", b"value", 60),
        lambda: cache.delete("key"),
        lambda: cache.get("key"),
    ):
        with pytest.raises(CacheUnavailable, match=r"CachelibTokenCache\(DynamoDbCache\)") as caught:
            operation()
        assert "hunter2" not in str(caught.value)
    assert theirs.add("lease", "other", 60) is False, "cachelib does tell them apart: this room is not needed any more"


def test_reads_are_consistent(theirs: Any) -> None:
    """DynamoDB answers from a replica that may lag, unless it is asked not to: every read of ours asks."""
    asked: list[Any] = []
    theirs._table.meta.client.meta.events.register(
        "provide-client-params.dynamodb.GetItem", lambda params, **_: asked.append(params.get("ConsistentRead"))
    )
    cache = CachelibTokenCache(theirs)
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"
    assert asked == [True]
