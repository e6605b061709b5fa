"""The items in the table, expired items, and clocks that differ."""

from __future__ import annotations

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from dynamodb_fixtures import TABLE, cache, cache_at_edge, credentials, dynamodb, edge, endpoint, raw
from dynamodb_steps import open_cache
from real_servers.dynamodb_edge import Edge

from m2m_auth.caches.dynamodb import DynamoDBTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError

pytestmark = pytest.mark.processes

__all__ = ["cache", "cache_at_edge", "credentials", "dynamodb", "edge", "endpoint", "raw"]


@pytest.fixture
def key() -> str:
    """A new key."""
    return secrets.token_hex(32)


def item(raw: Any, key: str) -> dict[str, Any]:
    """The item in the table."""
    found: dict[str, Any] = raw.get_item(TableName=TABLE, Key={"key": {"S": key}}, ConsistentRead=True)["Item"]
    return found


def plant(raw: Any, key: str, **attributes: dict[str, Any]) -> None:
    """Puts an item directly."""
    raw.put_item(TableName=TABLE, Item={"key": {"S": key}, **attributes})


def seconds(ago: float) -> dict[str, str]:
    """A time as an attribute."""
    return {"N": f"{time.time() - ago:.3f}"}


def test_a_value(cache: DynamoDBTokenCache, raw: Any, key: str) -> None:
    """A value's item has the exact expiry and the next whole second, for DynamoDB's deletion."""
    before = time.time()
    cache.set(key, b"sealed\x00\xff", 60.25)
    found = item(raw, key)
    expires_at = Decimal(found["expires_at"]["N"])
    assert found == {
        "key": {"S": key},
        "value": {"B": b"sealed\x00\xff"},
        "expires_at": {"N": str(expires_at)},
        "ttl": {"N": found["ttl"]["N"]},
    }
    assert before + 60.2 <= float(expires_at) <= time.time() + 60.3
    assert 0 <= int(found["ttl"]["N"]) - expires_at < 1 + Decimal("0.001")


def test_a_counter(cache: DynamoDBTokenCache, raw: Any, key: str) -> None:
    """A counter's item has a number and the expiry of its first increment."""
    cache.increment(key, 60)
    first = item(raw, key)
    cache.increment(key, 3600)
    assert item(raw, key) == {**first, "count": {"N": "2"}}


@pytest.mark.parametrize("ago", [0.0, 1.0, 2 * 86400.0], ids=["now", "a second ago", "two days ago"])
def test_an_expired_item_that_is_still_there(cache: DynamoDBTokenCache, raw: Any, key: str, ago: float) -> None:
    """An expired item that DynamoDB has not deleted is a miss and a free lease, and cannot be released."""
    plant(raw, key, value={"B": b"old owner"}, expires_at=seconds(ago), ttl={"N": str(int(time.time() - ago))})
    assert cache.get(key) is None
    assert cache.delete_if(key, b"old owner") is False
    assert item(raw, key)["value"] == {"B": b"old owner"}
    assert cache.add(key, b"new owner", 60) is True
    assert cache.get(key) == b"new owner"


def test_an_expired_counter_that_is_still_there(cache: DynamoDBTokenCache, raw: Any, key: str) -> None:
    """An expired counter starts at one again, with a new expiry."""
    plant(raw, key, count={"N": "41"}, expires_at=seconds(ago=1), ttl={"N": "1"})
    assert cache.get(key) is None
    assert [cache.increment(key, 60), cache.increment(key, 60)] == [1, 2]
    assert cache.get(key) == b"2"


def test_threads_at_an_expired_counter(cache: DynamoDBTokenCache, raw: Any, key: str) -> None:
    """Of 16 threads that find an expired counter at once, one starts it again and the others count on."""
    plant(raw, key, count={"N": "41"}, expires_at=seconds(ago=1), ttl={"N": "1"})
    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(lambda _: cache.increment(key, 60), range(16)))
    assert sorted(counts) == list(range(1, 17))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"value": {"B": b"no end"}},
        {"value": {"B": b"end is a word"}, "expires_at": {"S": "tomorrow"}},
        {"value": {"S": "not bytes"}, "expires_at": {"N": "99999999999"}},
        {"value": {"L": []}, "expires_at": {"N": "99999999999"}},
    ],
    ids=["empty", "no end", "odd end", "text", "list"],
)
def test_a_foreign_item_is_a_miss(
    cache: DynamoDBTokenCache, raw: Any, key: str, attributes: dict[str, dict[str, Any]]
) -> None:
    """A foreign item reads as None, and a set replaces it."""
    plant(raw, key, **attributes)
    assert cache.get(key) is None
    cache.set(key, b"value", 60)
    assert cache.get(key) == b"value"


def test_a_lease_without_an_end_is_free(cache: DynamoDBTokenCache, raw: Any, key: str) -> None:
    """An item without expires_at is not a held lease."""
    plant(raw, key, value={"B": b"owner"})
    assert cache.add(key, b"new owner", 60) is True


def test_reads_are_consistent(cache_at_edge: DynamoDBTokenCache, edge: Edge, key: str) -> None:
    """Every read is consistent, so that it sees the latest write."""
    cache_at_edge.get(key)
    assert [each.parameters["ConsistentRead"] for each in edge.seen] == [True]


def test_each_operation_is_one_request(cache_at_edge: DynamoDBTokenCache, edge: Edge, key: str) -> None:
    """Every operation is one request; only a counter's first increment takes two."""
    cache_at_edge.set(key, b"value", 60)
    cache_at_edge.get(key)
    cache_at_edge.delete_if(key, b"other")
    cache_at_edge.delete(key)
    cache_at_edge.add(key, b"owner", 60)
    assert [each.action for each in edge.seen] == ["PutItem", "GetItem", "DeleteItem", "DeleteItem", "PutItem"]
    edge.seen.clear()
    cache_at_edge.increment("n" + key[1:], 60)
    cache_at_edge.increment("n" + key[1:], 60)
    assert [each.action for each in edge.seen] == ["UpdateItem", "PutItem", "UpdateItem"]


@pytest.mark.parametrize("skew", [-240.0, -60.0, 60.0, 240.0])
def test_a_host_with_another_clock(cache: DynamoDBTokenCache, endpoint: str, key: str, skew: float) -> None:
    """A host whose clock is wrong by minutes takes no held lease and reads no expired value."""
    elsewhere = open_cache(endpoint, TABLE, clock=lambda: time.time() + skew)
    elsewhere.get(key)  # as a flight begins; the answer tells the time
    assert cache.add(key, b"owner", 15) is True
    assert elsewhere.get(key) == b"owner"
    assert elsewhere.add(key, b"other", 15) is False
    assert elsewhere.delete_if(key, b"owner") is True
    assert elsewhere.add(key, b"other", 15) is True
    assert cache.add(key, b"owner", 15) is False
    elsewhere.set(key, b"short", -3)
    assert cache.get(key) is None
    assert elsewhere.get(key) is None
    elsewhere.close()


def test_the_largest_item(cache: DynamoDBTokenCache, key: str) -> None:
    """An item of 400 KB is stored; a larger one is refused before it is sent, and the old value stays."""
    largest = b"x" * (400 * 1024 - 256)
    cache.set(key, largest, 60)
    assert cache.get(key) == largest
    for write in (cache.set, cache.add):
        with pytest.raises(CacheUnavailable, match="409345 bytes do not fit into an item, whose limit is 400 KB"):
            write(key, largest + b"x", 60)
    assert cache.get(key) == largest


def test_create_table(endpoint: str, raw: Any) -> None:
    """create_table: payment per request, deletion by ``ttl``; eight at once make one table; again is harmless."""
    name = f"new-{secrets.token_hex(4)}"
    fresh = open_cache(endpoint, name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fresh.create_table(), range(8)))
    fresh.set("kept", b"value", 60)
    fresh.create_table()
    assert fresh.get("kept") == b"value"
    fresh.close()
    table = raw.describe_table(TableName=name)["Table"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["KeySchema"] == [{"AttributeName": "key", "KeyType": "HASH"}]
    expiry = raw.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (expiry["AttributeName"], expiry["TimeToLiveStatus"]) == ("ttl", "ENABLED")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([("id", "HASH", "S")], r"\('id', 'HASH', 'S'\)"),
        ([("key", "HASH", "B")], r"\('key', 'HASH', 'B'\)"),
        ([("key", "HASH", "S"), ("at", "RANGE", "N")], r"\('at', 'RANGE', 'N'\)"),
    ],
    ids=["another name", "bytes", "a sort key"],
)
def test_a_table_with_another_key(endpoint: str, raw: Any, keys: list[tuple[str, str, str]], said: str) -> None:
    """A table with another key is refused by create_table, and operations name the key that they need."""
    name = f"foreign-{secrets.token_hex(4)}"
    raw.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": name, "KeyType": kind} for name, kind, _ in keys],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, _, kind in keys],
        BillingMode="PAY_PER_REQUEST",
    )
    foreign = open_cache(endpoint, name)
    with pytest.raises(ConfigurationError, match=f"{said}.*partition key `key`.*Fix: choose another table name"):
        foreign.create_table()
    with pytest.raises(CacheUnavailable, match=r"ValidationException.*partition key `key`"):
        foreign.set("key", b"value", 60)
    foreign.close()


def test_only_create_table_makes_a_table(endpoint: str, raw: Any) -> None:
    """Without the table an operation says how to make it, and does not make it."""
    name = f"missing-{secrets.token_hex(4)}"
    missing = open_cache(endpoint, name)
    for use in (lambda: missing.get("key"), lambda: missing.set("key", b"", 1), lambda: missing.increment("key", 1)):
        with pytest.raises(CacheUnavailable, match=r"no such table.*Fix: .*create_table\(\)"):
            use()
    missing.close()
    assert name not in raw.list_tables()["TableNames"]
