"""Fixtures of the DynamoDB tests, for import."""

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
    """Credentials in the environment, as in a Lambda function; the processes of races inherit them."""
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
    """A boto3 client, to read and write items directly."""
    client = raw_client(endpoint)
    yield client
    client.close()


@pytest.fixture
def edge(dynamodb: Store) -> Iterator[Edge]:
    """A proxy between the cache and the server."""
    with Edge(dynamodb.port) as edge:
        yield edge


@pytest.fixture
def cache_at_edge(edge: Edge) -> Iterator[DynamoDBTokenCache]:
    """A cache that uses the proxy."""
    cache = open_cache(edge.endpoint, TABLE)
    yield cache
    cache.close()
