"""The keyword arguments of a source: which there are, and the checks of those that no other room checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from ..errors import ConfigurationError, nearest
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.grants import Grant

if TYPE_CHECKING:
    from ..caches.protocol import TokenCache
    from ..events import Subscriber
    from ..lifecycle.mint_budget import MintBudget
    from ..lifecycle.policy import RenewalPolicy
    from ..runtime.clock import Clock

__all__ = ["FRONT_DOOR_OPTIONS", "SourceOptions", "checked_alias", "refuse_unknown", "unknown_option"]


class SourceOptions(TypedDict, total=False):
    """The keyword arguments of ``TokenSource``, for type checkers."""

    audience: str | None
    scope: str | Iterable[str] | None
    resource: str | Sequence[str] | None
    extra_parameters: Mapping[str, str] | None
    client_authentication: str | ClientAuthentication
    grant: Grant | None
    cache: str | TokenCache | None
    encryption_keys: Sequence[str | bytes] | None
    policy: RenewalPolicy | None
    budget: MintBudget | None
    transport: Any
    clock: Clock | None
    on_event: Subscriber | None
    alias: str | None


FRONT_DOOR_OPTIONS = ("allowed_origins", "allow_insecure_http", "is_rejection")
"""What a front door's ``M2MAuth`` takes and ``TokenSource`` does not."""
_FIRST = ("token_endpoint", "client_id", "client_secret")


def unknown_option(name: str, known: Iterable[str]) -> TypeError:
    """The error for a keyword argument that does not exist; it names the nearest one that does."""
    known = tuple(known)
    return TypeError(f"unknown option {name!r}{nearest(name, known)}. Known: {', '.join(known)}")


def refuse_unknown(unknown: Mapping[str, object]) -> None:
    """Raises TypeError for the first keyword argument that ``TokenSource`` does not have."""
    for name in unknown:
        if name in FRONT_DOOR_OPTIONS:
            raise TypeError(f"{name} is an option of M2MAuth, the front door of an HTTP library, not of TokenSource")
        raise unknown_option(name, (*_FIRST, *SourceOptions.__annotations__, *FRONT_DOOR_OPTIONS))


def checked_alias(alias: object) -> str:
    """The source's short name. Raises ConfigurationError for one that would spoil a log line."""
    if alias is None:
        return ""
    if not isinstance(alias, str) or not alias.strip() or not alias.isprintable():
        raise ConfigurationError(f"alias={alias!r} must be a short printable name, such as 'billing'")
    return alias
