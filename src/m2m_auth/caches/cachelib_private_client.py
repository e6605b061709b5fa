"""A cachelib cache, prepared so that nothing is unpickled and no failure is swallowed."""

# A private copy is prepared by its private attributes.
# pyright: reportPrivateUsage=false
from __future__ import annotations

import copy
from collections.abc import Callable
from typing import IO, Any

import cachelib

__all__ = ["Fault", "private_copy"]


class Fault(BaseException):
    """Gets past cachelib, which takes every Exception for "somebody else has it"."""


def private_copy(cache: cachelib.BaseCache) -> cachelib.BaseCache:
    """The same data and connections; the user's object stays as it is."""
    private: Any = copy.copy(cache)
    if hasattr(private, "serializer"):
        private.serializer = _TextOnly()
    if isinstance(cache, cachelib.FileSystemCache):
        private._threshold = 0  # its count of files is kept in a pickle, by the user's object
    if isinstance(cache, cachelib.DynamoDbCache):
        private._table = _FranklyFailing(private._table)
    return private  # type: ignore[no-any-return]


class _TextOnly:
    """Text of ours as its own bytes; everything else reads as a miss."""

    def dumps(self, value: str) -> bytes:
        return value.encode("ascii")

    def loads(self, data: object) -> str | None:
        data = getattr(data, "value", data)  # DynamoDB's Binary, which cachelib < 0.16 hands over as it is
        ours = isinstance(data, bytes) and data.startswith(b"m2m1") and data.isascii()
        return data.decode("ascii") if ours and isinstance(data, bytes) else None

    def dump(self, value: str, file: IO[bytes]) -> None:
        file.write(self.dumps(value))

    def load(self, file: IO[bytes]) -> str | None:
        return self.loads(file.read())


class _FranklyFailing:
    """A DynamoDB table whose failures are told apart from a condition that does not hold, and read consistently."""

    def __init__(self, table: Any) -> None:
        self._table = table

    def get_item(self, **request: Any) -> Any:
        return self._table.get_item(ConsistentRead=True, **request)

    def put_item(self, **request: Any) -> None:
        self._tell(self._table.put_item, request)

    def delete_item(self, **request: Any) -> None:
        self._tell(self._table.delete_item, request)

    def _tell(self, method: Callable[..., object], request: dict[str, Any]) -> None:
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
