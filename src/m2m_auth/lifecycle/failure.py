"""A failed attempt as a plain record: it is kept, shared through a cache, and raised afresh for each caller.

Each caller gets its own exception: no traceback of another thread hangs on it, and no HTTP library's
exception with the secret-bearing request inside.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from .. import errors
from .backoff import backoff

__all__ = ["Failure", "FailureKind", "hold_off"]


class FailureKind(str, Enum):
    """What sort of failure it is: it decides how long to hold off."""

    UNAVAILABLE = "unavailable"
    """The server, or the way to it, failed: worth another attempt soon."""
    THROTTLED = "throttled"
    """The server said when to come back (429)."""
    CREDENTIALS = "credentials"
    """The client's secret was refused."""
    BUDGET = "budget"
    """Our own budget for mints is used up; ``retry_after`` says until when."""
    CONFIGURATION = "configuration"
    """This request (scope, audience, grant, URL) was refused; repeating it does not help."""


class Failure(NamedTuple):
    """One failed attempt to get a token."""

    kind: FailureKind
    error_class: str
    message: str
    cause_code: str
    retry_after: float | None = None
    """Seconds, as the server asked for; None if it did not."""
    attempts: int = 1
    """How many attempts in a row have failed like this."""
    facts: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    """The further attributes of the error: status, error, error_description, error_uri."""

    def following(self, previous: Failure | None) -> Failure:
        """The failure, counted on from the one before if that was of the same kind."""
        again = previous is not None and previous.kind is self.kind
        return self._replace(attempts=previous.attempts + 1) if previous is not None and again else self

    def error(self, retry_after: float | None = None) -> errors.TokenUnavailable:
        """A new exception for one caller; ``retry_after`` in seconds from now."""
        cls: type[errors.TokenUnavailable] = getattr(errors, self.error_class)
        return cls(self.message, cause_code=self.cause_code, retry_after=retry_after, **self.facts)

    def to_json(self) -> dict[str, Any]:
        """A JSON object; the inverse of :meth:`from_json`."""
        return {**self._asdict(), "kind": self.kind.value}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Failure:
        """The record from another process. Raises ValueError, TypeError or KeyError for anything else."""
        after, attempts, facts = data["retry_after"], data["attempts"], data["facts"]
        error = getattr(errors, str(data["error_class"]), None)
        if not (isinstance(error, type) and issubclass(error, errors.TokenUnavailable)):
            raise ValueError("not a failure's class")  # noqa: TRY004 - a value that names no class
        if not isinstance(after, (int, float, type(None))) or not isinstance(attempts, int):
            raise TypeError("not a failure's numbers")
        words = str(data["message"]), str(data["cause_code"])
        failure = cls(FailureKind(data["kind"]), error.__name__, *words, after, attempts, facts)
        failure.error()
        return failure


def hold_off(failure: Failure, lead: float, fraction: float) -> float:
    """Seconds until the next attempt after ``failure``; ``lead`` is ``W``, ``fraction`` (0 to 1) the jitter's draw.

    - throttled (429): what the server asked for, at most 3600 s, plus up to 5 s so that not all return at once;
    - the server or the way to it (5xx, timeouts, nonsense): from 1 s, doubling, to ``clamp(W/10, 1, 60)``,
      with equal jitter (half fixed, half random);
    - our own budget: until it renews, looked at every minute, since it is a matter of configuration;
    - refused credentials: 30 s, doubling to 5 min; a refused configuration: 60 s.
    """
    if failure.kind is FailureKind.THROTTLED and failure.retry_after is not None:
        return min(failure.retry_after, 3600.0) + 5.0 * fraction
    if failure.kind is FailureKind.BUDGET:
        return min(failure.retry_after or 0.0, 60.0)
    if failure.kind is FailureKind.CREDENTIALS:
        return backoff(failure.attempts, first=30.0, longest=300.0)
    if failure.kind is FailureKind.CONFIGURATION:
        return 60.0
    return backoff(failure.attempts, first=1.0, longest=min(max(lead / 10, 1.0), 60.0), fraction=fraction)
