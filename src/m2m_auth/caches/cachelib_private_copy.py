"""A copy of a cachelib cache that unpickles nothing and hides no failure."""

# The copy is changed through private attributes of cachelib.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import IO, Any

import cachelib

__all__ = ["Fault", "private_copy"]


class Fault(BaseException):
    """A failure of DynamoDB. Not an Exception: cachelib turns each of those into "add: the key exists"."""


def private_copy(cache: cachelib.BaseCache) -> cachelib.BaseCache:
    """A copy on the same data and connections; the user's object does not change."""
    private: Any = copy.copy(cache)
    if hasattr(private, "serializer"):
        private.serializer = _TextOnly()
    if isinstance(cache, cachelib.FileSystemCache):
        private._threshold = 0  # the user's object keeps its count of files in a pickle
    if isinstance(cache, cachelib.DynamoDbCache):
        private._table = _StrictTable(private._table)
    return private  # type: ignore[no-any-return]


class _TextOnly:
    """Stores text as bytes. Everything that m2m-auth did not store reads as a miss."""

    def dumps(self, value: str) -> bytes:
        return value.encode("ascii")

    def loads(self, data: object) -> str | None:
        data = getattr(data, "value", data)  # cachelib < 0.16 passes DynamoDB's Binary unchanged
        known = isinstance(data, bytes) and data.startswith(b"m2m1") and data.isascii()
        return data.decode("ascii") if known and isinstance(data, bytes) else None

    def dump(self, value: str, file: IO[bytes]) -> None:
        file.write(self.dumps(value))

    def load(self, file: IO[bytes]) -> str | None:
        return self.loads(file.read())


class _StrictTable:
    """A DynamoDB table with consistent reads. Its failures differ from a condition that does not hold."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get_item(self, **request: Any) -> Any:
        return self._table.get_item(ConsistentRead=True, **request)

    def put_item(self, **request: Any) -> None:
        self._write(self._table.put_item, request)

    def delete_item(self, **request: Any) -> None:
        self._write(self._table.delete_item, request)

    def _write(self, method: Callable[..., object], request: dict[str, Any]) -> None:
        problem = ""
        try:
            method(**request)
        except Exception as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code")
            if code == "ConditionalCheckFailedException":
                raise
            problem = f"DynamoDB: {code or type(error).__name__}"
        if problem:
            raise Fault(problem)
