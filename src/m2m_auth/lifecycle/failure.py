"""A failed attempt as a plain record, which a cache shares, and which each caller gets as a new exception.

So no caller sees the traceback of another thread, or an HTTP library's exception with the request and its secret.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from .. import errors
from ..oauth2.rate_limit_headers import MAX_RETRY_AFTER
from .backoff import backoff

__all__ = ["ASKED_SPREAD", "Failure", "FailureKind", "asked_wait", "hold_off"]

ASKED_SPREAD = 5.0
"""Seconds over which clients return, at most, after a wait that a server asked for."""


class FailureKind(str, Enum):
    """The kinds of failure. The kind decides when the next attempt is made."""

    UNAVAILABLE = "unavailable"
    """The server, or the network to it, failed; another attempt soon may work."""
    THROTTLED = "throttled"
    """The server was asked too often (429)."""
    TIMEOUT = "timeout"
    """No answer came in time. Some servers delay their answer to refused credentials for longer than that."""
    CREDENTIALS = "credentials"
    """The server refused the client's credentials."""
    BUDGET = "budget"
    """The client's own mint budget is used up; ``retry_after`` is the time until it renews."""
    CONFIGURATION = "configuration"
    """The server refused this request (scope, audience, grant, URL); repeating it does not help."""
    UNUSABLE = "unusable"
    """The server gave a token that may not be used (its type, a narrow scope): a configuration error, and a mint."""


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

    @property
    def may_be_the_credential(self) -> bool:
        """True if a newer secret may help: the server refused this one, or twice gave no answer to it."""
        return self.kind is FailureKind.CREDENTIALS or (self.kind is FailureKind.TIMEOUT and self.attempts > 1)

    @property
    def minted(self) -> bool:
        """True if the server gave a token, which counts in the ledger and the budget."""
        return self.kind is FailureKind.UNUSABLE

    def of_the_endpoint(self) -> Failure:
        """Return what this failure means for the client's other token requests at the same endpoint.

        The wait counts for them, too. A fault of this one request (its scope, its audience) is not theirs.
        """
        if self.kind is not FailureKind.CONFIGURATION:
            return self
        words = f"The token endpoint has asked this client to wait: it answered {self.cause_code} to another request"
        facts = {"status": self.facts.get("status")}
        return Failure(
            FailureKind.THROTTLED, "TokenEndpointUnavailable", words, "throttled", self.retry_after, 1, facts
        )

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


def asked_wait(failure: Failure) -> float | None:
    """Return the seconds that the server asked to wait; None if it asked for no time, or for none at all."""
    asked = None if failure.kind is FailureKind.BUDGET else failure.retry_after
    return min(asked, MAX_RETRY_AFTER) if asked else None


def hold_off(failure: Failure, lead: float, fraction: float, *, spread: bool = True) -> float:
    """Return the seconds until the next attempt after ``failure``: those of its kind, or longer if the server asks so.

    - Unavailable (5xx, refused connections, no token in the answer), and throttled: from 1 s, doubling to ``W/10``,
      which counts as 1 s at least and 60 s at most, with equal jitter.
    - Timeouts: the first as if unavailable, then from 30 s, doubling to 5 min.
    - Credentials: 30 s, doubling to 5 min.
    - Configuration: 60 s.
    - A token that may not be used: 60 s, doubling to 1 h.
    - The budget: until it renews, but a minute at most, because an operator may raise it.

    Args:
        failure: the failure, with the number of attempts in a row.
        lead: ``W``, how long before its end a token becomes stale, in seconds.
        fraction: the jitter's draw, 0 to 1.
        spread: True adds up to 5 s to a time that the server asks for, so that not all return at once. False for what
            is shared: each process that reads it adds its own.
    """
    if failure.kind is FailureKind.BUDGET:
        return min(failure.retry_after or 0.0, 60.0)
    own, asked = _own_hold_off(failure, lead, fraction), asked_wait(failure)
    return own if asked is None else max(own, asked + (ASKED_SPREAD * fraction if spread else 0.0))


def _own_hold_off(failure: Failure, lead: float, fraction: float) -> float:
    kind, attempts = failure.kind, failure.attempts
    if kind is FailureKind.CREDENTIALS:
        return backoff(attempts, first=30.0, longest=300.0)
    if kind is FailureKind.CONFIGURATION:
        return 60.0
    if kind is FailureKind.UNUSABLE:
        return backoff(attempts, first=60.0, longest=3600.0)
    if kind is FailureKind.TIMEOUT and attempts > 1:
        return backoff(attempts - 1, first=30.0, longest=300.0)
    return backoff(attempts, first=1.0, longest=min(max(lead / 10, 1.0), 60.0), fraction=fraction)
