"""DynamoDB, by boto3: a cache without a server to run, for AWS Lambda functions, containers and machines.

An item stays readable for up to two days after its time: DynamoDB deletes when it likes. So each carries its
exact end, and every read and every condition compares it.
"""

# boto3 has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import importlib.util
import math
import re
import time
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from ...errors import CacheUnavailable, ConfigurationError, nearest
from ..protocol import Capabilities
from ..urls import without_password
from .table import CONDITION_FAILED, AnotherKey, Table, Value, warn_if_patient
from .table_creation import create

if importlib.util.find_spec("botocore") is None:  # it is imported later, and missed at once
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

    The table is made by :meth:`create_table`, and by nothing else. The role needs, on the table, the IAM actions
    ``dynamodb:GetItem``, ``dynamodb:PutItem``, ``dynamodb:UpdateItem`` and ``dynamodb:DeleteItem``.

    Items have the attributes ``key`` (S, the partition key), ``value`` (B) or, for counters, ``count`` (N),
    ``expires_at`` (N, Unix time, exact) and ``ttl`` (N, whole seconds, by which DynamoDB deletes). Reads are
    consistent. Credentials are found as boto3 finds them. It is imported at the first operation, which takes up to half
    a second and no part of the timeout: a Lambda function does well to ``import boto3`` itself, at its top.

    Args:
        table: the table's name or ARN.
        region: such as ``"eu-west-1"``; None: as boto3 finds it, e.g. in ``AWS_DEFAULT_REGION``.
        endpoint_url: another place than AWS's own, such as DynamoDB Local's; None: AWS.
        client: a client of ``boto3.client("dynamodb")`` to use instead of our own. It keeps its own
            configuration, and a warning is logged where that is too patient for a cache.
        timeout: seconds to wait for a connection, and again for an answer; there are no retries. Half a second,
            not the 0.1 s of other network caches: a small Lambda function needs that for its first TLS connection and
            for the signature. Resolving the name, and fetching credentials where boto3 must, is not counted.
        clock: Unix time in seconds. Where it differs from DynamoDB's by more than two seconds, DynamoDB's is used.

    Raises:
        ConfigurationError: an argument that makes no sense.
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        problem = _problem(table, region, endpoint_url, client, timeout)
        if problem:
            raise ConfigurationError(f"DynamoDBTokenCache: {problem}")
        if client is not None:
            warn_if_patient(client)
        options = {"region_name": region, "endpoint_url": endpoint_url}
        self._table = Table(table, options, timeout=timeout, client=client, clock=clock)

    @classmethod
    def from_url(cls, url: str) -> DynamoDBTokenCache:
        """``dynamodb://table``, with the options ``?region=eu-west-1&endpoint_url=…&timeout=0.5`` (seconds)."""
        what = f"cache={without_password(url)!r}"
        try:
            parts = urlsplit(url)
        except ValueError:  # an IPv6 address that is none
            parts = urlsplit("")
        if not parts.netloc or "@" in parts.netloc or parts.path not in ("", "/") or parts.fragment:
            raise ConfigurationError(
                f"{what}: a table is named as in dynamodb://table?region=eu-west-1. "
                "Credentials have no place there: boto3 finds them"
            )
        options: dict[str, Any] = {}
        for name, text in parse_qsl(parts.query, keep_blank_values=True):
            if name not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise ConfigurationError(f"{what}: unknown option {name!r}{nearest(name, _OPTIONS)}. Known: {known}")
            if not text or name in options:
                raise ConfigurationError(f"{what}: the option {name} needs one value, once")
            options[name] = text
        try:
            options["timeout"] = float(options.get("timeout", "0.5"))
        except ValueError:
            raise ConfigurationError(f"{what}: timeout={options['timeout']!r} is not a number of seconds") from None
        return cls(parts.netloc, **options)

    @classmethod
    def from_client(cls, client: Any) -> DynamoDBTokenCache:
        """A boto3 table: ``boto3.resource("dynamodb").Table("name")``; its client is used as it is."""
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
        """Makes the table, pays for it by request, and has DynamoDB delete expired items. Harmless where it exists.

        Needs the IAM actions ``dynamodb:CreateTable``, ``dynamodb:DescribeTable``, ``dynamodb:DescribeTimeToLive``
        and ``dynamodb:UpdateTimeToLive``.

        Args:
            wait: seconds that the table has to become active.

        Raises:
            ConfigurationError: there is a table of this name with another key.
            CacheUnavailable: it is not allowed, DynamoDB is not reached, or the table is not active in time.
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
        """Forgets a key."""
        self._table.send("DeleteItem", bool, Key={"key": key})

    def add(self, key: str, value: bytes, ttl: float) -> bool:
        """Stores the value unless a live one is there; one conditional put."""
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
        """Adds one and returns the count; one conditional update, or a put where no counter lives."""
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
        """Lets go of the connections; those of a client that was passed in are its owner's."""
        self._table.close()

    def _put(self, key: str, ttl: float, content: dict[str, Value], condition: str = "") -> bool:
        """Puts an item; False where the condition did not hold."""
        value = content.get("value")
        if isinstance(value, bytes) and len(value) > _LARGEST:
            raise CacheUnavailable(f"{self!r}: {len(value)} bytes do not fit into an item, which has 400 KB at most")
        now = self._table.now()
        item = {"key": key, **content, "expires_at": _exact(now + ttl), "ttl": math.ceil(now + ttl)}
        conditional: dict[str, Any] = {}
        if condition:
            values = {":now": _exact(now)}
            conditional = {"ConditionExpression": condition, "values": values, "refusal": CONDITION_FAILED}
        return self._table.send("PutItem", bool, Item=item, **conditional) is not None

    def _live(self, key: str, answer: Any) -> bytes | None:
        """The value of an answer's item, if it lives and is one of ours."""
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
    """What is wrong with the arguments, in words with the fix; empty if nothing is."""
    if not isinstance(table, str) or not re.fullmatch(_NAME, table):
        return f"table={table!r} is not a table's name (3 to 255 of A-Z a-z 0-9 _ . -) or ARN"
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < math.inf:
        return f"timeout={timeout!r} must be a number of seconds above 0"
    if client is not None and (region is not None or endpoint_url is not None):
        return "client= has a region and an endpoint of its own. Fix: leave out region= and endpoint_url="
    if client is not None and getattr(getattr(client, "meta", None), "config", None) is None:
        return f"client={type(client).__name__}(…) is not a client of DynamoDB. Fix: boto3.client('dynamodb')"
    if region is not None and (not isinstance(region, str) or not re.fullmatch(r"[a-z0-9-]+", region)):
        return f"region={region!r} is not a region like 'eu-west-1'"
    if endpoint_url is None:
        return ""
    if not isinstance(endpoint_url, str) or not re.fullmatch(r"https?://[^/@\s?#]+[^@\s?#]*", endpoint_url):
        return "endpoint_url is not a URL like 'http://127.0.0.1:8000' (without a user, password, query or fragment)"
    return ""
