"""cachelib's DynamoDbCache reports every failure as "the key exists"; CachelibTokenCache raises it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import cachelib
import pytest
from real_servers.stores import Store, start_dynamodb

from m2m_auth.caches.cachelib import CachelibTokenCache
from m2m_auth.errors import CacheUnavailable

pytestmark = pytest.mark.processes

ANY_CREDENTIALS = {"region_name": "eu-central-1", "aws_access_key_id": "key", "aws_secret_access_key": "hunter2"}


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A server of DynamoDB's protocol."""
    with start_dynamodb() as store:
        yield store


@pytest.fixture
def theirs(store: Store) -> Iterator[Any]:
    """The user's cache, with a new table."""
    cache: Any = cachelib.DynamoDbCache(
        f"table-{secrets.token_hex(4)}", endpoint_url=f"http://{store.address}", **ANY_CREDENTIALS
    )
    yield cache
    cache._table.meta.client.close()


def test_held_and_failing_are_two_answers(theirs: Any) -> None:
    """add of a held lease is False. Without the table, add, set, delete and get raise CacheUnavailable."""
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
    assert theirs.add("lease", "other", 60) is False, "cachelib reports the failure by now: delete _StrictTable"


def test_reads_are_consistent(theirs: Any) -> None:
    """Every read is consistent: by default DynamoDB may answer from a replica that lags."""
    asked: list[Any] = []
    theirs._table.meta.client.meta.events.register(
        "provide-client-params.dynamodb.GetItem", lambda params, **_: asked.append(params.get("ConsistentRead"))
    )
    cache = CachelibTokenCache(theirs)
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"
    assert asked == [True]
