"""DynamoDB, on boto3: a cache that needs no server, for AWS Lambda functions, containers and machines.

DynamoDB deletes an expired item up to two days late, and still returns it until then. So each item carries its exact
expiry, and every read and every condition compares it.
"""

# boto3 has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ...errors import CacheUnavailable, ConfigurationError, nearest
from ...runtime.clock import SYSTEM_CLOCK
from ..protocol import Capabilities
from ..urls import without_password
from .table import CONDITION_FAILED, AnotherKey, Table, Value, warn_if_slow
from .table_creation import create

if importlib.util.find_spec("botocore") is None:  # boto3 is imported later; if it is missing, say so now
    raise ImportError("No module named 'botocore'", name="botocore")

__all__ = ["DynamoDBTokenCache"]

_FREE = "attribute_not_exists(#expires_at) OR #expires_at <= :now"
_COUNTS = "attribute_exists(#count) AND #expires_at > :now"
_DOES_NOT_COUNT = "attribute_not_exists(#count) OR #expires_at <= :now"
_ROUNDS = 4
_LARGEST = 400 * 1024 - 256
"""Bytes of a value: an item, names included, is at most 400 KB."""
_OPTIONS = ("region", "endpoint_url", "timeout")
_NAME = r"[A-Za-z0-9_.-]{3,255}|arn:[^\s@]+:table/[A-Za-z0-9_.-]{3,255}"


class DynamoDBTokenCache:
    """A DynamoDB table as a shared cache.

    Only :meth:`create_table` makes the table. On the table, the role needs the IAM actions
    ``dynamodb:GetItem``, ``dynamodb:PutItem``, ``dynamodb:UpdateItem`` and ``dynamodb:DeleteItem``.

    Items have the attributes ``key`` (S, the partition key), ``value`` (B) or, for counters, ``count`` (N),
    ``expires_at`` (N, Unix time, exact) and ``ttl`` (N, whole seconds, for DynamoDB's own deletion). Reads are
    consistent. boto3 finds the credentials. It is imported at the first operation, which takes up to half a second,
    outside the timeout: in a Lambda function, ``import boto3`` at the top of the file.

    Args:
        table: the table's name or ARN.
        region: such as ``"eu-west-1"``; None: boto3 finds it, for example in ``AWS_DEFAULT_REGION``.
        endpoint_url: an endpoint other than AWS's, such as DynamoDB Local's; None: AWS.
        client: a client of ``boto3.client("dynamodb")`` to use, with its own configuration. If its timeouts are too
            long for a cache, a warning is logged.
        timeout: seconds to wait for a connection, and again for an answer; there are no retries. The default is
            longer than the 0.1 s of other network caches, since a small Lambda function needs half a second for its
            first TLS connection and signature. Resolving the name and fetching credentials is not included.
        clock: Unix time in seconds. Where it differs from DynamoDB's by more than two seconds, DynamoDB's is used.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    capabilities = Capabilities()

    def __init__(
        self,
        table: str,
        *,
        region: str | None = None,
        endpoint_url: str | None = None,
        client: Any = None,
        timeout: float = 0.5,
        clock: Callable[[], float] = SYSTEM_CLOCK.wall,
    ) -> None:
        problem = _problem(table, region, endpoint_url, client, timeout)
        if problem:
            raise ConfigurationError(f"DynamoDBTokenCache: {problem}")
        if client is not None:
            warn_if_slow(client)
        options = {"region_name": region, "endpoint_url": endpoint_url}
        self._table = Table(table, options, timeout=timeout, client=client, clock=clock)

    @classmethod
    def from_url(cls, url: str) -> DynamoDBTokenCache:
        """``dynamodb://table``, with the options ``?region=eu-west-1&endpoint_url=…&timeout=0.5`` (seconds)."""
        what = f"cache={without_password(url)!r}"
        try:
            parts = urlsplit(url)
        except ValueError:  # a malformed IPv6 address
            parts = urlsplit("")
        if not parts.netloc or "@" in parts.netloc or parts.path not in ("", "/") or parts.fragment:
            raise ConfigurationError(
                f"{what}: the URL does not name a table. Fix: dynamodb://table?region=eu-west-1, "
                "without credentials: boto3 finds them"
            )
        options: dict[str, Any] = {}
        for name, text in parse_qsl(parts.query, keep_blank_values=True):
            if name not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise ConfigurationError(f"{what}: unknown option {name!r}{nearest(name, _OPTIONS)}. Known: {known}")
            if not text or name in options:
                raise ConfigurationError(f"{what}: the option {name} needs exactly one value")
            options[name] = text
        try:
            options["timeout"] = float(options.get("timeout", "0.5"))
        except ValueError:
            raise ConfigurationError(f"{what}: timeout={options['timeout']!r} is not a number of seconds") from None
        return cls(parts.netloc, **options)

    @classmethod
    def from_client(cls, client: Any) -> DynamoDBTokenCache:
        """A boto3 table: ``boto3.resource("dynamodb").Table("name")``. Its client is used unchanged."""
        meta = getattr(client, "meta", None)
        if getattr(meta, "service_name", None) != "dynamodb" or not isinstance(getattr(client, "name", None), str):
            raise ConfigurationError(
                f"cache={type(client).__name__}(…) is not a DynamoDB table. "
                "Fix: boto3.resource('dynamodb').Table('name')"
            )
        cache = cls(client.name, client=client.meta.client)
        cache._table.typed = True
        return cache

    def __repr__(self) -> str:
        return f"DynamoDBTokenCache({self._table.name!r}, {self._table.where!r})"

    def create_table(self, wait: float = 60.0) -> None:
        """Makes the table, with payment per request and deletion of expired items. Harmless if the table exists.

        Needs the IAM actions ``dynamodb:CreateTable``, ``dynamodb:DescribeTable``, ``dynamodb:DescribeTimeToLive``
        and ``dynamodb:UpdateTimeToLive``.

        Args:
            wait: seconds to wait until the table is active.

        Raises:
            ConfigurationError: a table of this name exists with another key.
            CacheUnavailable: access is denied, DynamoDB cannot be reached, or the table is not active in time.
        """
        table = self._table.patient()
        try:
            create(table, wait)
        finally:
            table.close()

    def get(self, key: str) -> bytes | None:
        """The live value, or None."""
        return self._table.send("GetItem", partial(self._live, key), Key={"key": key}, ConsistentRead=True)

    def set(self, key: str, value: bytes, ttl: float) -> None:
        """Stores a value for ``ttl`` seconds."""
        self._put(key, ttl, {"value": value})

    def delete(self, key: str) -> None:
        """Deletes a key."""
        self._table.send("DeleteItem", bool, Key={"key": key})

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless the key has a live one; one conditional put."""
        return self._put(key, ttl, {"value": value}, _FREE)

    def delete_if(self, key: str, value: bytes) -> bool:
        """Deletes the key if it still holds this value; one conditional delete."""
        done = self._table.send(
            "DeleteItem",
            bool,
            refusal=CONDITION_FAILED,
            Key={"key": key},
            ConditionExpression="#value = :value AND #expires_at > :now",
            values={":value": value, ":now": _exact(self._table.now())},
        )
        return done is not None

    def increment(self, key: str, ttl: float) -> int:
        """Adds one and returns the count; one conditional update, or a put if there is no live counter."""
        for _ in range(_ROUNDS):
            count = self._table.send(
                "UpdateItem",
                lambda answer: int(answer["Attributes"]["count"]),
                refusal=CONDITION_FAILED,
                Key={"key": key},
                UpdateExpression="ADD #count :one",
                ConditionExpression=_COUNTS,
                ReturnValues="UPDATED_NEW",
                values={":one": 1, ":now": _exact(self._table.now())},
            )
            if count is not None:
                return count
            if self._put(key, ttl, {"count": 1}, _DOES_NOT_COUNT):
                return 1
        raise CacheUnavailable(f"{self!r}: other processes kept changing the counter")

    def close(self) -> None:
        """Closes the connections, except those of a client that the user passed."""
        self._table.close()

    def _put(self, key: str, ttl: float, content: dict[str, Value], condition: str = "") -> bool:
        """Puts an item; False if the condition did not hold."""
        value = content.get("value")
        if isinstance(value, bytes) and len(value) > _LARGEST:
            raise CacheUnavailable(f"{self!r}: {len(value)} bytes do not fit into an item, whose limit is 400 KB")
        now = self._table.now()
        item = {"key": key, **content, "expires_at": _exact(now + ttl), "ttl": math.ceil(now + ttl)}
        conditional: dict[str, Any] = {}
        if condition:
            values = {":now": _exact(now)}
            conditional = {"ConditionExpression": condition, "values": values, "refusal": CONDITION_FAILED}
        return self._table.send("PutItem", bool, Item=item, **conditional) is not None

    def _live(self, key: str, answer: Any) -> bytes | None:
        """The value of an answer's item, if the item is live and was stored by this cache."""
        item = answer.get("Item", {})
        if not _number(item.get("expires_at")) > self._table.now():
            return None
        if item["key"] != key:
            raise AnotherKey
        if "count" in item:
            return str(int(item["count"])).encode()
        value = item.get("value")
        return value if isinstance(value, bytes) else None


def _exact(seconds: float) -> Decimal:
    return Decimal(f"{seconds:.3f}")


def _number(value: object) -> float:
    return float(value) if isinstance(value, Decimal) else -math.inf


def _problem(table: object, region: object, endpoint_url: object, client: Any, timeout: object) -> str:
    """What is wrong with the arguments, with the fix; empty if nothing is."""
    if not isinstance(table, str) or not re.fullmatch(_NAME, table):
        return f"table={table!r} is not a table's name (3 to 255 of A-Z a-z 0-9 _ . -) or ARN"
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        return f"timeout={timeout!r} must be a number of seconds above 0"
    if client is not None and (region is not None or endpoint_url is not None):
        return "client= already has a region and an endpoint. Fix: leave out region= and endpoint_url="
    if client is not None and getattr(getattr(client, "meta", None), "config", None) is None:
        return f"client={type(client).__name__}(…) is not a client of DynamoDB. Fix: boto3.client('dynamodb')"
    if region is not None and (not isinstance(region, str) or not re.fullmatch(r"[a-z0-9-]+", region)):
        return f"region={region!r} is not a region like 'eu-west-1'"
    if endpoint_url is None:
        return ""
    if not isinstance(endpoint_url, str) or not re.fullmatch(r"https?://[^/@\s?#]+[^@\s?#]*", endpoint_url):
        return "endpoint_url is not a URL like 'http://127.0.0.1:8000' (without a user, password, query or fragment)"
    return ""
