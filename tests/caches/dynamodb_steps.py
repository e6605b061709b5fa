"""Steps of tests of the DynamoDB cache; the processes of races import this file as well."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config

from m2m_auth.caches.dynamodb import DynamoDBTokenCache

REGION = "eu-west-1"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "the-aws-secret-of-this-test",
    "AWS_SESSION_TOKEN": "the-session-token-of-this-test",
}
ENVIRONMENT = {
    **SECRETS,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
TIMEOUT = 5.0
"""The timeout in seconds of tests that do not test timeouts, for slow machines."""
IMPATIENT = Config(connect_timeout=TIMEOUT, read_timeout=TIMEOUT, retries={"total_max_attempts": 1})
"""The configuration that the cache expects of a user's client."""


def open_cache(endpoint: str, table: str, timeout: float = TIMEOUT, **options: Any) -> DynamoDBTokenCache:
    """A cache on a server of the tests, in any process."""
    return DynamoDBTokenCache(table, region=REGION, endpoint_url=endpoint, timeout=timeout, **options)


def raw_client(endpoint: str, config: Config | None = None) -> Any:
    """A boto3 client. Close it."""
    return boto3.client("dynamodb", region_name=REGION, endpoint_url=endpoint, config=config)


def raw_table(endpoint: str, table: str, config: Config | None = None) -> Any:
    """A boto3 table. Close its ``meta.client``."""
    resource: Any = boto3.resource("dynamodb", region_name=REGION, endpoint_url=endpoint, config=config)
    return resource.Table(table)


class Owned(DynamoDBTokenCache):
    """A cache that closes its client as well. Open it with the two functions below."""

    client: Any

    def close(self) -> None:
        """Closes the client as well."""
        super().close()
        self.client.close()


def open_by_client(endpoint: str, table: str) -> Owned:
    """A cache over a client, in any process."""
    client = raw_client(endpoint, IMPATIENT)
    cache = Owned(table, client=client)
    cache.client = client
    return cache


def open_by_table(endpoint: str, table: str) -> Owned:
    """A cache over a boto3 Table, as an application may have one, in any process."""
    native = raw_table(endpoint, table, IMPATIENT)
    cache = Owned.from_client(native)
    assert isinstance(cache, Owned)
    cache.client = native.meta.client
    return cache
