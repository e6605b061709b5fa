"""Makes the table of the DynamoDB cache."""

from __future__ import annotations

import time
from typing import Any, NamedTuple, cast

from ...errors import CacheUnavailable, ConfigurationError
from .table import Table

__all__ = ["create"]


class _Found(NamedTuple):
    status: str
    key: list[tuple[str, str, str]]


def create(table: Table, wait: float) -> None:
    """Makes the table if it is missing, waits until it is active, and switches on the deletion of expired items.

    Raises:
        ConfigurationError: a table of this name exists with another key.
        CacheUnavailable: access is denied, DynamoDB cannot be reached, or ``wait`` seconds are over.
    """
    end = time.monotonic() + wait
    if table.send("DescribeTable", bool, refusal="ResourceNotFoundException") is None:
        table.send(
            "CreateTable",
            bool,
            refusal="ResourceInUseException",  # another process has made it
            AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    found = _described(table)
    if found.key != [("key", "HASH", "S")]:
        raise ConfigurationError(
            f"DynamoDB table {table.name!r} ({table.where}) has the key {found.key} instead of the one partition key "
            "`key` (a string). Fix: choose another table name, and call create_table()"
        )
    while found.status != "ACTIVE":
        if time.monotonic() > end:
            raise CacheUnavailable(
                f"DynamoDB table {table.name!r} ({table.where}) is {found.status} after {wait:g} s. "
                "Fix: call create_table() again"
            )
        time.sleep(0.5)
        found = _described(table)
    state = table.send("DescribeTimeToLive", lambda answer: str(answer["TimeToLiveDescription"]["TimeToLiveStatus"]))
    if state not in ("ENABLED", "ENABLING"):
        enabled = {"Enabled": True, "AttributeName": "ttl"}
        # Refused if another process has enabled it meanwhile.
        table.send("UpdateTimeToLive", bool, refusal="ValidationException", TimeToLiveSpecification=enabled)


def _described(table: Table) -> _Found:
    # Never None: there is no refusal.
    return cast("_Found", table.send("DescribeTable", _found))


def _found(answer: Any) -> _Found:
    described = answer["Table"]
    types = {each["AttributeName"]: each["AttributeType"] for each in described["AttributeDefinitions"]}
    key = [(each["AttributeName"], each["KeyType"], types[each["AttributeName"]]) for each in described["KeySchema"]]
    return _Found(described["TableStatus"], key)
