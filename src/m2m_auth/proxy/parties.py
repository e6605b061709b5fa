"""Who is on either side of the proxy: authorization servers and vendors, as an operator describes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from ..errors import ConfigurationError, nearest
from ..oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from ..oauth2.client_authentication.client_secret_post import ClientSecretPost
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.client_authentication.registry import by_name
from ..oauth2.grants import ClientCredentials, Grant
from ..oauth2.secrets import Secret, checked_secret, checked_secret_source
from ..oauth2.token_request import TokenRequest
from .secret_verifiers import is_verifier

__all__ = ["UpstreamConfig", "VendorConfig", "checked_secret_of"]


def checked_secret_of(name: str, given: Any) -> Secret | None:
    """A secret of the configuration, out of sight. Raises ConfigurationError for what cannot be one."""
    if given is None or isinstance(given, Secret):
        return given
    checked = checked_secret_source(given)
    if not isinstance(checked, Secret):
        raise ConfigurationError(f"{name} must be a string")
    return checked


def _check_secret(name: str, secret: Secret | None) -> None:
    """Raises ConfigurationError for what came out of a file or the environment, and no client can send."""
    try:
        text = None if secret is None else secret.reveal()
    except UnicodeDecodeError:
        text = "\ud800"
    if text is not None:
        checked_secret(name, text)


def _request(
    token_endpoint: str = "https://tenant.example/oauth/token",  # noqa: S107 - no secret
    client_id: str = "client",
    *,
    grant: Grant | None = None,
    audience: str | None = None,
    resource: str | None = None,
    extra: Mapping[str, str] | None = None,
    where: str = "",
) -> None:
    """Raises ConfigurationError for what no token request may have."""
    problem = ""
    try:
        TokenRequest.checked(
            token_endpoint,
            client_id,
            client_authentication="client_secret_basic",
            grant=grant,
            audience=audience,
            scope=None,
            resource=resource,
            extra_parameters=extra,
        )
    except ConfigurationError as error:
        problem = str(error)
    if problem:
        raise ConfigurationError(f"{where}: {problem}" if where else problem)


class UpstreamConfig(NamedTuple):
    """One authorization server.

    With a ``client_id`` the proxy is the only client there, and gives its vendors secrets of its own. Without one, each
    vendor has its own client there, and keeps its credentials.
    """

    token_endpoint: str
    client_id: str | None = None
    client_secret: str | Secret | None = None
    client_authentication: str | ClientAuthentication = "client_secret_basic"
    """How the proxy authenticates there: a name, or an object of the ClientAuthentication protocol."""
    encoding: str = "form"
    """``form``, or ``json`` for servers that want a JSON body."""

    def __repr__(self) -> str:
        return f"<UpstreamConfig {self.token_endpoint}>"

    def checked(self, name: str) -> UpstreamConfig:
        """The same, its secret concealed. Raises ConfigurationError: what is wrong with it, and the fix."""
        problem = ""
        try:
            return self._checked()
        except ConfigurationError as error:
            problem = str(error)
        raise ConfigurationError(f"upstreams.{name}: {problem}")

    def _checked(self) -> UpstreamConfig:
        authentication = by_name(self.client_authentication)
        grant = ClientCredentials(self.encoding)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        _request(self.token_endpoint, "client" if self.client_id is None else self.client_id, grant=grant)
        secret = checked_secret_of("client_secret", self.client_secret)
        _check_secret("client_secret", secret)
        if self.client_id is not None:
            authentication.credential(secret)
        elif secret is not None:
            raise ConfigurationError("client_secret stands without client_id")
        elif not isinstance(authentication, (ClientSecretBasic, ClientSecretPost)):
            raise ConfigurationError("without client_id the vendors send secrets, and this authentication takes none")
        return self._replace(client_authentication=authentication, client_secret=secret)


class VendorConfig(NamedTuple):
    """One vendor: the client id that it sends to the proxy is its name in the configuration."""

    upstream: str = ""
    """The upstream's name; may be left out where there is only one."""
    audiences: tuple[str, ...] = ()
    """Which audiences it may ask for. ``""`` among them allows a request without one; none at all: only without one."""
    scopes: tuple[str, ...] = ()
    """Which scopes it may ask for."""
    default_scopes: tuple[str, ...] | None = None
    """What a request without a scope asks for (RFC 6749 §3.3); None: all of ``scopes``."""
    resources: tuple[str, ...] = ()
    """Which resources (RFC 8707) it may ask for."""
    extra_parameters: Mapping[str, tuple[str, ...]] = {}
    """Further parameters that are passed on, each with its allowed values; all others are ignored (RFC 6749 §3.2)."""
    mints_per_hour: int | None = None
    """How many tokens it may have minted in a UTC hour; None: no limit."""
    mints_per_month: int | None = None
    requests_per_minute: int | None = None
    """How often it may ask one process in a minute; None: no limit."""
    verifiers: tuple[str, ...] = ()
    """What its secrets, an old and a new one, are compared with; ``m2m-auth proxy add-vendor`` makes them."""

    def checked(self, name: str, upstreams: Mapping[str, UpstreamConfig]) -> VendorConfig:
        """The same, its upstream filled in. Raises ConfigurationError: what is wrong with it, and the fix."""
        problem = ""
        upstream = self.upstream or (next(iter(upstreams)) if len(upstreams) == 1 else "")
        try:
            if upstream not in upstreams:
                near = nearest(upstream, upstreams)
                raise ConfigurationError(f"upstream={upstream!r} is not known{near}: {', '.join(upstreams)}")
            if self.verifiers and upstreams[upstream].client_id is None:
                raise ConfigurationError(
                    f"verifiers are for secrets of the proxy's, but upstreams.{upstream} has no client_id: its vendors "
                    "keep their own credentials. Fix: take them out of the vendors file, or set client_id there"
                )
            self._check(name)
        except ConfigurationError as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(f"vendors.{name}.{problem}")
        return self._replace(upstream=upstream)

    def _check(self, name: str) -> None:
        if not re.fullmatch(r"[\x21-\x7e]{1,200}", name):
            raise ConfigurationError("NAME: a client id has 1 to 200 printable ASCII characters without spaces")
        self._check_texts()
        for scope in (*self.scopes, *(self.default_scopes or ())):
            if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope):
                raise ConfigurationError(f"scopes has {scope!r}. Fix: one scope per string (RFC 6749 §3.3)")
        for scope in self.default_scopes or ():
            if scope not in self.scopes:
                raise ConfigurationError(f"default_scopes has {scope!r}, which is not among its scopes")
        for audience in filter(None, self.audiences):
            _request(audience=audience, where="audiences")
        for resource in self.resources:
            _request(resource=resource, where="resources")
        if self.extra_parameters:
            _request(extra=dict.fromkeys(self.extra_parameters, "value"), where="extra_parameters")
        if not all(is_verifier(text) for text in self.verifiers):
            raise ConfigurationError("verifiers has one that 'm2m-auth proxy add-vendor' did not make")
        for key in ("mints_per_hour", "mints_per_month", "requests_per_minute"):
            limit = getattr(self, key)
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigurationError(f"{key}={limit!r} must be a whole number of at least 1, or be left out")

    def _check_texts(self) -> None:
        """Raises ConfigurationError for a string instead of several: its parts would be found in it, too."""
        keys = ("audiences", "scopes", "resources", "verifiers")
        lists: list[tuple[str, Any]] = [(key, getattr(self, key)) for key in keys]
        lists += [("default_scopes", self.scopes if self.default_scopes is None else self.default_scopes)]
        lists += [(f"extra_parameters.{key}", values) for key, values in self.extra_parameters.items()]
        for key, given in lists:
            one = isinstance(given, str) or not isinstance(given, Iterable)
            if one or not all(isinstance(each, str) for each in cast("Iterable[Any]", given)):
                raise ConfigurationError(f"{key} must be a tuple of strings, such as ('read',)")
