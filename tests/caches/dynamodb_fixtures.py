"""Fixtures of the DynamoDB tests: import what you need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from dynamodb_steps import ENVIRONMENT, open_cache, raw_client
from real_servers.dynamodb_edge import Edge
from real_servers.stores import Store, start_dynamodb

from m2m_auth.caches.dynamodb import DynamoDBTokenCache

TABLE = "tokens"


@pytest.fixture(scope="module", autouse=True)
def credentials() -> Iterator[None]:
    """In the environment, as in a Lambda function and without the developer's; processes of a race inherit them."""
    with pytest.MonkeyPatch.context() as environment:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            environment.delenv(name)
        for name, value in ENVIRONMENT.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def dynamodb(credentials: None) -> Iterator[Store]:
    """ministack, with the table that ``create_table`` makes."""
    with start_dynamodb() as store:
        cache = open_cache(f"http://{store.address}", TABLE)
        cache.create_table()
        cache.close()
        yield store


@pytest.fixture
def endpoint(dynamodb: Store) -> str:
    """The server's URL."""
    return f"http://{dynamodb.address}"


@pytest.fixture
def cache(endpoint: str) -> Iterator[DynamoDBTokenCache]:
    """A cache on the server."""
    cache = open_cache(endpoint, TABLE)
    yield cache
    cache.close()


@pytest.fixture
def raw(endpoint: str) -> Iterator[object]:
    """boto3's own client, to look at the items behind the cache's back."""
    client = raw_client(endpoint)
    yield client
    client.close()


@pytest.fixture
def edge(dynamodb: Store) -> Iterator[Edge]:
    """What stands between a cache and the server."""
    with Edge(dynamodb.port) as edge:
        yield edge


@pytest.fixture
def cache_at_edge(edge: Edge) -> Iterator[DynamoDBTokenCache]:
    """A cache that asks through the edge."""
    cache = open_cache(edge.endpoint, TABLE)
    yield cache
    cache.close()
