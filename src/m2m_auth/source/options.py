"""The checks of what a source takes besides the token request."""

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

__all__ = ["SourceOptions", "checked_alias", "refuse_unknown"]


class SourceOptions(TypedDict, total=False):
    """The keyword arguments that ``TokenSource`` takes; a plugin's ``M2MAuth`` passes them on."""

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


_PLUGIN_OPTIONS = ("allowed_origins", "allow_insecure_http", "is_rejection")

_FIRST = ("token_endpoint", "client_id", "client_secret")


def refuse_unknown(unknown: Mapping[str, object]) -> None:
    """Raises for an option that does not exist, naming the nearest one that does."""
    for name in unknown:
        known = (*_FIRST, *SourceOptions.__annotations__, *_PLUGIN_OPTIONS)
        if name in _PLUGIN_OPTIONS:
            raise ConfigurationError(f"{name} is an option of a plugin's M2MAuth, not of TokenSource")
        raise ConfigurationError(f"unknown option {name!r}{nearest(name, known)}. Known: {', '.join(known)}")


def checked_alias(alias: object) -> str:
    """The source's short name. Raises ConfigurationError for one that would spoil a log line."""
    if alias is None:
        return ""
    if not isinstance(alias, str) or not alias.strip() or not alias.isprintable():
        raise ConfigurationError(f"alias={alias!r} must be a short printable name, such as 'billing'")
    return alias
