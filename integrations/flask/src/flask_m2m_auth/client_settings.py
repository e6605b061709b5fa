"""One client of ``M2M_AUTH_CLIENTS``: its values, and the token source that they describe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn, TypeVar

from m2m_auth import ConfigurationError, MintBudget, RenewalPolicy, TokenSource
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.origins import OriginPolicy

from .values import Hidden, as_list, as_mapping, as_text, imported, is_import_path, only_known, under

__all__ = ["KEYS", "ClientSettings"]

_REQUIRED = ("TOKEN_ENDPOINT", "CLIENT_ID")
KEYS = (
    *_REQUIRED,
    "CLIENT_SECRET",
    "AUDIENCE",
    "SCOPE",
    "RESOURCE",
    "CLIENT_AUTHENTICATION",
    "ALLOWED_ORIGINS",
    "CACHE",
    "POLICY",
    "BUDGET",
)
_Fields = TypeVar("_Fields", RenewalPolicy, MintBudget)


class ClientSettings(NamedTuple):
    """One client, checked. Import paths are followed only when a source is built: modules may import the app."""

    where: str
    """How messages call it: ``M2M_AUTH_CLIENTS['billing']``."""
    secret: Hidden
    authentication: Any
    request: dict[str, Any]
    """What else a TokenSource is told: whom to ask for what, and when."""
    allowed_origins: list[str] | None
    cache: str | None
    """An alias of ``M2M_AUTH_CACHES``; None: this process's memory."""

    @classmethod
    def of(cls, where: str, given: Mapping[str, Any]) -> ClientSettings:
        """The client that a dict of settings describes; its CLIENT_SECRET comes hidden.

        Raises:
            ConfigurationError: what is wrong, where, and the fix.
        """
        only_known(where, given, KEYS)
        for key in _REQUIRED:
            if given.get(key) is None:
                raise ConfigurationError(f"{where} has no {key}. Fix: set it")

        def text(key: str) -> Any:
            return as_text(f"{where}[{key!r}]", given.get(key))

        request = {
            "token_endpoint": text("TOKEN_ENDPOINT"),
            "client_id": text("CLIENT_ID"),
            "audience": text("AUDIENCE"),
            "scope": text("SCOPE"),
            "resource": text("RESOURCE"),
            "policy": _fields(f"{where}['POLICY']", given.get("POLICY"), RenewalPolicy),
            "budget": _fields(f"{where}['BUDGET']", given.get("BUDGET"), MintBudget),
        }
        return cls(
            where,
            as_text(f"{where}['CLIENT_SECRET']", given.get("CLIENT_SECRET", Hidden(None))),
            given.get("CLIENT_AUTHENTICATION") or "client_secret_basic",
            request,
            as_list(f"{where}['ALLOWED_ORIGINS']", given.get("ALLOWED_ORIGINS"), separators=r"[,\s]+"),
            as_text(f"{where}['CACHE']", given.get("CACHE", "default")),
        )

    def source(self, encryption_keys: Hidden, cache: Hidden, **options: Any) -> TokenSource:
        """A new source; the arguments are the app's part of it. A cache may be a URL with a password.

        Raises:
            ConfigurationError: an import path leads nowhere, or what it leads to makes no sense.
        """
        secret, authentication = self.secret, self.authentication
        if is_import_path(secret.reveal()):
            secret = Hidden(imported(f"{self.where}['CLIENT_SECRET']", secret))
            if not callable(secret.reveal()):
                raise ConfigurationError(f"{self.where}['CLIENT_SECRET'] is the path of something that is not callable")
        if is_import_path(authentication):
            authentication = imported(f"{self.where}['CLIENT_AUTHENTICATION']", authentication)
        return self._built(secret, authentication, encryption_keys, cache, options)

    def check(self, encryption_keys: Hidden) -> None:
        """Raises ConfigurationError for values that make no sense. No I/O, and no import path is followed."""
        secret, authentication = self.secret, self.authentication
        if is_import_path(authentication):
            secret, authentication = Hidden(_nothing_yet), ClientSecretPost()
        elif is_import_path(secret.reveal()):
            secret = Hidden(_nothing_yet)
        self._built(secret, authentication, encryption_keys, Hidden(None), {"transport": _nothing_yet})
        with under(self.where):
            OriginPolicy(self.allowed_origins, allow_insecure_http=False)

    def _built(
        self, secret: Hidden, authentication: Any, keys: Hidden, cache: Hidden, options: dict[str, Any]
    ) -> TokenSource:
        with under(self.where):
            return TokenSource(
                **self.request,
                **options,
                client_secret=secret.reveal(),
                client_authentication=authentication,
                encryption_keys=keys.reveal(),
                cache=cache.reveal(),
            )
        raise AssertionError  # never: under() swallows nothing


def _nothing_yet(*_: object) -> NoReturn:
    """Stands in for what is not imported while settings are only checked."""
    raise NotImplementedError


def _fields(where: str, given: Any, kind: type[_Fields]) -> _Fields | None:
    """The object itself, or made from a dict of its fields, in either case."""
    if given is None or isinstance(given, kind):
        return given
    fields = {str(name).lower(): value for name, value in as_mapping(where, Hidden(given)).items()}
    only_known(where, fields, [field.name for field in dataclasses.fields(kind)])
    with under(where):
        return kind(**fields)
