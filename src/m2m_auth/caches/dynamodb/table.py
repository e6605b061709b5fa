"""One DynamoDB table: a request returns its answer, or None if its condition did not hold."""

# botocore has no types, so what it returns is unknown here.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar, cast

from ...errors import CacheUnavailable
from ...runtime.clock import SYSTEM_CLOCK
from ...runtime.fork_safety import delaying_forks, on_fork

__all__ = ["CONDITION_FAILED", "AnotherKey", "Table", "Value", "warn_if_slow"]

_log = logging.getLogger("m2m_auth")

Value = str | bytes | int | Decimal
"""The values of attributes: DynamoDB's types S, B and N."""

CONDITION_FAILED = "ConditionalCheckFailedException"
"""The error code that means "the condition did not hold"."""
T = TypeVar("T")

IDLE = 30.0
"""Seconds after which an idle connection is not used again: after a frozen Lambda instance it is silently dead."""
SKEW = 2.0
"""Seconds that the clock may differ from DynamoDB's before it is corrected. DynamoDB reports whole seconds."""
CONTROL_TIMEOUT = 10.0
"""The timeout, in seconds, of requests that make or describe a table: they are slower than reads and writes."""
LONG = 5.0
"""A user's client whose timeout is longer than this, in seconds, causes a warning."""

_THROTTLED = "DynamoDB throttles this table or account. Fix: on-demand capacity (PAY_PER_REQUEST), or a higher limit"
_CREDENTIALS = (
    "the AWS credentials are wrong or expired, or this machine's clock is wrong. "
    "Fix: renew the credentials, or set the clock"
)
_FIXES = {
    "ResourceNotFoundException": "there is no such table in this account and region. "
    "Fix: set the right region=, or make the table with DynamoDBTokenCache(…).create_table()",
    "AccessDeniedException": "Fix: allow the action dynamodb:{action} on this table in the role's IAM policy",
    "ProvisionedThroughputExceededException": _THROTTLED,
    "ThrottlingException": _THROTTLED,
    "RequestLimitExceeded": _THROTTLED,
    "ValidationException": "DynamoDB refuses the request. Fix: use a table that create_table() made, with the "
    "partition key `key` (a string) and no sort key; and pass a client of boto3.client, or a "
    "boto3 Table, not a resource's client",
    "UnrecognizedClientException": _CREDENTIALS,
    "InvalidSignatureException": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "AnotherKey": "the answer is for another key. Fix: check for a proxy that mixes up answers",
    "NoCredentialsError": "there are no AWS credentials. Fix: give the function or machine a role, "
    "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoRegionError": "Fix: pass region=, or set AWS_DEFAULT_REGION",
    "ConnectTimeoutError": "no connection within {timeout:g} s (timeout=)",
    "ReadTimeoutError": "no answer within {timeout:g} s (timeout=)",
}
"""By DynamoDB's error code or botocore's exception. DynamoDB's messages are not shown: they may quote the session
token."""


class AnotherKey(Exception):
    """An answer that belongs to another request."""


class Table:
    """A table and its client: the user's client, or one that this object makes when it first needs it.

    Args:
        name: the table's name or ARN.
        options: ``region_name`` and ``endpoint_url`` for a client that this object makes; None: botocore's default.
        timeout: seconds that a client made by this object waits for a connection, and again for an answer.
        client: a client to use unchanged.
        typed: the client takes and returns Python's values, like the client of a boto3 resource.
        clock: Unix time in seconds.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        *,
        timeout: float,
        client: Any = None,
        typed: bool = False,
        clock: Callable[[], float] = SYSTEM_CLOCK.wall,
    ) -> None:
        self.name = name
        self._options = dict(options)
        self._timeout: float = timeout if client is None else float(client.meta.config.read_timeout or math.inf)
        self._given, self.typed = client, typed
        self._clock = clock
        self._ahead = 0.0
        self._used = clock()
        self._own: Any = None
        self._lock = threading.Lock()
        on_fork(self)

    @property
    def where(self) -> str:
        """The region or the endpoint, as far as it is known without a request."""
        meta = self._given.meta if self._given is not None else None
        endpoint = meta.endpoint_url if meta else self._options["endpoint_url"]
        return str(endpoint or self._options["region_name"] or "the default region")

    def now(self) -> float:
        """DynamoDB's Unix time, by its latest answer: hosts whose clocks differ agree on this time."""
        return self._clock() - self._ahead

    def send(
        self,
        action: str,
        read: Callable[[Any], T],
        *,
        refusal: str = "",
        values: Mapping[str, Value] | None = None,
        **parameters: Any,
    ) -> T | None:
        """Sends one request and returns ``read(answer)``; None if DynamoDB answers with the error ``refusal``.

        ``action`` is IAM's name of the request, such as ``GetItem``. Attributes in expressions begin with ``#``.

        Raises:
            CacheUnavailable: any other error, also in ``read``.
        """
        for name in ("Key", "Item"):
            if name in parameters:
                parameters[name] = self._encoded(parameters[name])
        if values:
            expressions = " ".join(text for name, text in parameters.items() if name.endswith("Expression"))
            parameters["ExpressionAttributeNames"] = {name: name[1:] for name in re.findall(r"#\w+", expressions)}
            parameters["ExpressionAttributeValues"] = self._encoded(values)
        problem = ""
        # A fork waits until the request ends, so that no lock of botocore, urllib3 or OpenSSL stays held in the child.
        with delaying_forks():
            try:
                client, sent = self._client(), self._clock()
                method = getattr(client, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower())
                answer = method(TableName=self.name, **parameters)
                self._compare_clocks(sent, answer)
                for name in ("Item", "Attributes"):
                    if name in answer:
                        answer[name] = self._decoded(answer[name])
                return read(answer)
            except Exception as error:  # botocore's errors have two base classes; a garbled answer raises any
                code = _code(error)
                if code == refusal:
                    return None
                problem = f"DynamoDB table {self.name!r} ({self.where}): {action}: {code}{self._fix(code, action)}"
        raise CacheUnavailable(problem)

    def patient(self) -> Table:
        """The same table with the longer timeout that making a table needs."""
        timeout = max(self._timeout, CONTROL_TIMEOUT)
        return Table(self.name, self._options, timeout=timeout, client=self._given, typed=self.typed)

    def close(self) -> None:
        """Closes the connections of the object's own client. A client that the user passed stays open."""
        client, self._own = self._own, None
        if client is not None:
            client.close()

    def after_fork(self) -> None:
        """In a forked child: the next operation opens new connections, since two processes on one would mix answers."""
        self._lock = threading.Lock()
        self.close()
        if self._given is not None:
            self._given.close()

    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        with self._lock:
            now = self._clock()
            if not 0 <= now - self._used <= IDLE:
                self.close()
            self._used = now
            if self._own is None:
                self._own = self._opened()
            return self._own

    def _opened(self) -> Any:
        import botocore.session
        from botocore.config import Config

        config = Config(
            connect_timeout=self._timeout,
            read_timeout=self._timeout,
            # In full, so that AWS_RETRY_MODE=adaptive has no effect. This mode compares checksums as well.
            retries={"total_max_attempts": 1, "mode": "legacy"},
            max_pool_connections=50,
        )
        return botocore.session.Session().create_client("dynamodb", config=config, **self._options)

    def _compare_clocks(self, sent: float, answer: Any) -> None:
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        if date is not None and 0 <= self._clock() - sent < 1:
            ahead = sent - parsedate_to_datetime(date).timestamp()
            self._ahead = ahead if abs(ahead) > SKEW else 0.0

    def _fix(self, code: str, action: str) -> str:
        fix = _FIXES.get(code)
        return "" if fix is None else f": {fix.format(action=action, timeout=self._timeout)}"

    def _encoded(self, values: Mapping[str, Value]) -> dict[str, Any]:
        return {name: value if self.typed else _tagged(value) for name, value in values.items()}

    def _decoded(self, values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: _untyped(value) if self.typed else _untagged(value) for name, value in values.items()}


def warn_if_slow(client: Any) -> None:
    """Logs a warning if calls may wait long for this client: botocore's default is 60 s, up to ten times."""
    config = client.meta.config
    longest = max(float(config.connect_timeout or math.inf), float(config.read_timeout or math.inf))
    attempts = (config.retries or {}).get("total_max_attempts")
    if longest > LONG or attempts != 1:
        _log.warning(
            "The boto3 client of a token cache has long timeouts or retries (up to %g s, %s): API calls wait for it. A "
            "retry may find its own lease taken. Fix: boto3.client('dynamodb', config=Config("
            "connect_timeout=0.5, read_timeout=0.5, retries={'total_max_attempts': 1}))",
            longest,
            "no retries" if attempts == 1 else f"{attempts or 'several'} attempts",
        )


def _code(error: Exception) -> str:
    """DynamoDB's error code, or the name of the exception."""
    response = cast("dict[str, Any]", getattr(error, "response", None) or {})
    return str(response.get("Error", {}).get("Code") or type(error).__name__)


def _tagged(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    return {"B": value} if isinstance(value, bytes) else {"N": str(value)}


def _untagged(value: Mapping[str, Any]) -> Any:
    ((tag, content),) = value.items()
    return Decimal(content) if tag == "N" else content


def _untyped(value: Any) -> Any:
    """The value without boto3's wrapper around bytes, Binary."""
    return value.value if type(value).__name__ == "Binary" else value
