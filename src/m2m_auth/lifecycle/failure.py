"""A failed attempt as a plain record, which a cache shares, and which each caller gets as a new exception.

So no caller sees the traceback of another thread, or an HTTP library's exception with the request and its secret.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from .. import errors
from .backoff import backoff

__all__ = ["Failure", "FailureKind", "hold_off"]


class FailureKind(str, Enum):
    """The kinds of failure. The kind decides when the next attempt is made."""

    UNAVAILABLE = "unavailable"
    """The server, or the network to it, failed; another attempt soon may work."""
    THROTTLED = "throttled"
    """The server said when to come back (429)."""
    CREDENTIALS = "credentials"
    """The server refused the client's credentials."""
    BUDGET = "budget"
    """The client's own mint budget is used up; ``retry_after`` is the time until it renews."""
    CONFIGURATION = "configuration"
    """The server refused this request (scope, audience, grant, URL); repeating it does not help."""


class Failure(NamedTuple):
    """One failed attempt to get a token."""

    kind: FailureKind
    error_class: str
    """The name of the :class:`~m2m_auth.TokenUnavailable` class that callers get."""
    message: str
    """The text of that error: what happened, and the fix."""
    cause_code: str
    """A short word for logs and metrics, e.g. ``timeout`` or ``invalid_client``."""
    retry_after: float | None = None
    """Seconds that the server asked to wait; None if it did not."""
    attempts: int = 1
    """How many attempts in a row have failed with this kind."""
    facts: dict[str, Any] = {}  # noqa: RUF012 - never mutated
    """The further attributes of the error: status, error, error_description, error_uri."""

    def following(self, previous: Failure | None) -> Failure:
        """Return this failure with its ``attempts`` counted on from the previous one, if that was of the same kind."""
        if previous is None or previous.kind is not self.kind:
            return self
        return self._replace(attempts=previous.attempts + 1)

    def error(self, retry_after: float | None = None) -> errors.TokenUnavailable:
        """Return a new exception for one caller; ``retry_after`` is in seconds from now."""
        cls: type[errors.TokenUnavailable] = getattr(errors, self.error_class)
        return cls(self.message, cause_code=self.cause_code, retry_after=retry_after, **self.facts)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object; the inverse of :meth:`from_json`."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Failure:
        """Return the failure that another process wrote as ``data``.

        Raises:
            ValueError, TypeError, KeyError: ``data`` is anything else.
        """
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
    """Return the seconds until the next attempt after ``failure``.

    - Throttled (429): what the server asked for, 3600 s at most, and up to 5 s more, so that not all return at once.
    - Unavailable (5xx, timeouts, unusable answers): from 1 s, doubling to ``W/10``, which counts as 1 s at least and
      60 s at most, with equal jitter.
    - The budget: until it renews, but a minute at most, because an operator may raise it.
    - Credentials: 30 s, doubling to 5 min.
    - Configuration: 60 s.

    Args:
        failure: the failure, with the number of attempts in a row.
        lead: ``W``, how long before its end a token becomes stale, in seconds.
        fraction: the jitter's draw, 0 to 1.
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
