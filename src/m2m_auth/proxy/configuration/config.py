"""The proxy's configuration: the authorization servers, the vendors, and the limits. Checked when a proxy is built."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, cast

from ...caches.protocol import TokenCache
from ...errors import ConfigurationError, nearest
from ...lifecycle.policy import DEFAULT_POLICY
from ...oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from ...oauth2.client_authentication.client_secret_post import ClientSecretPost
from ...oauth2.client_authentication.protocol import ClientAuthentication
from ...oauth2.client_authentication.registry import by_name
from ...oauth2.grants import ClientCredentials, Grant
from ...oauth2.secrets import Secret, checked_secret, checked_secret_source
from ...oauth2.token_request import TokenRequest
from ...shared_cache.opening import checked_cache
from ...shared_cache.sealing import checked_keys
from ...values import Value, replace
from ..secret_verifiers import is_verifier

__all__ = ["ProxyConfig", "UpstreamConfig", "VendorConfig"]


class UpstreamConfig(Value):
    """One authorization server.

    With a ``client_id`` the proxy is the only client there, and gives its vendors secrets of its own. Without one, each
    vendor has its own client there, and keeps its credentials.
    """

    token_endpoint: str
    """The token endpoint's URL."""
    client_id: str | None = None
    """The proxy's client there; None: each vendor has its own."""
    client_secret: str | Secret | None = None
    """The secret of ``client_id``."""
    client_authentication: str | ClientAuthentication = "client_secret_basic"
    """How the proxy authenticates there: a name, or an object of the ClientAuthentication protocol."""
    encoding: str = "form"
    """The encoding of token requests: ``form``, or ``json`` for servers that want a JSON body."""

    def __repr__(self) -> str:
        return f"<UpstreamConfig {self.token_endpoint}>"

    def checked(self, name: str) -> UpstreamConfig:
        """The same configuration, its secret concealed. Raises ConfigurationError: what is wrong, and the fix."""
        problem = ""
        try:
            return self._checked()
        except ConfigurationError as error:
            problem = str(error)
        raise ConfigurationError(f"upstreams.{name}: {problem}")

    def _checked(self) -> UpstreamConfig:
        authentication = by_name(self.client_authentication)
        grant = ClientCredentials(self.encoding)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        _check_request(self.token_endpoint, "client" if self.client_id is None else self.client_id, grant=grant)
        secret = _concealed_secret("client_secret", self.client_secret)
        _check_secret("client_secret", secret)
        if self.client_id is not None:
            authentication.credential(secret)
        elif secret is not None:
            raise ConfigurationError("client_secret has no client_id. Fix: set client_id, or leave client_secret out")
        elif not isinstance(authentication, (ClientSecretBasic, ClientSecretPost)):
            raise ConfigurationError(
                "without client_id the vendors send their own secrets, and this client_authentication takes none. "
                "Fix: client_secret_basic or client_secret_post, or set client_id"
            )
        return replace(self, client_authentication=authentication, client_secret=secret)


class VendorConfig(Value):
    """One vendor. Its name in the configuration is the client id that it sends to the proxy."""

    upstream: str = ""
    """The upstream's name; may be left out if there is only one."""
    audiences: tuple[str, ...] = ()
    """The audiences that it may ask for. ``""`` among them allows a request without one; empty allows only that."""
    scopes: tuple[str, ...] = ()
    """The scopes that it may ask for."""
    default_scopes: tuple[str, ...] | None = None
    """The scopes of a request that names none (RFC 6749 §3.3); None: all of ``scopes``."""
    resources: tuple[str, ...] = ()
    """The resources (RFC 8707) that it may ask for."""
    extra_parameters: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Further parameters that are passed on, each with its allowed values. All others are ignored (RFC 6749 §3.2)."""
    mints_per_hour: int | None = None
    """The number of tokens that may be minted for it in a UTC hour; None: no limit."""
    mints_per_month: int | None = None
    """The number of tokens that may be minted for it in a UTC month; None: no limit."""
    requests_per_minute: int | None = None
    """The number of requests that one process answers in a UTC minute; None: no limit."""
    verifiers: tuple[str, ...] = ()
    """Verifiers of its secrets, the newest first; ``m2m-auth proxy add-vendor`` makes them."""

    def checked(self, name: str, upstreams: Mapping[str, UpstreamConfig]) -> VendorConfig:
        """The same configuration, its upstream filled in. Raises ConfigurationError: what is wrong, and the fix."""
        problem = ""
        upstream = self.upstream or (next(iter(upstreams)) if len(upstreams) == 1 else "")
        try:
            if upstream not in upstreams:
                near = nearest(upstream, upstreams)
                raise ConfigurationError(f"upstream={upstream!r} is not known{near}. Known: {', '.join(upstreams)}")
            if self.verifiers and upstreams[upstream].client_id is None:
                raise ConfigurationError(
                    f"verifiers belong to secrets that the proxy gives out, but upstreams.{upstream} has no client_id: "
                    "its vendors keep their own credentials. Fix: remove them from the vendors file, or set client_id"
                )
            self._check(name)
        except ConfigurationError as error:
            problem = str(error)
        if problem:
            raise ConfigurationError(f"vendors.{name}.{problem}")
        return replace(self, upstream=upstream)

    def _check(self, name: str) -> None:
        if not re.fullmatch(r"[\x21-\x7e]{1,200}", name):
            raise ConfigurationError("NAME: a client id has 1 to 200 printable ASCII characters without spaces")
        self._check_lists()
        for scope in (*self.scopes, *(self.default_scopes or ())):
            if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", scope):
                raise ConfigurationError(f"scopes has {scope!r}. Fix: one scope per string (RFC 6749 §3.3)")
        for scope in self.default_scopes or ():
            if scope not in self.scopes:
                raise ConfigurationError(f"default_scopes has {scope!r}, which is not among its scopes")
        for audience in filter(None, self.audiences):
            _check_request(audience=audience, where="audiences")
        for resource in self.resources:
            _check_request(resource=resource, where="resources")
        if self.extra_parameters:
            _check_request(extra=dict.fromkeys(self.extra_parameters, "value"), where="extra_parameters")
        if not all(is_verifier(text) for text in self.verifiers):
            raise ConfigurationError("verifiers has one that 'm2m-auth proxy add-vendor' did not make")
        for key in ("mints_per_hour", "mints_per_month", "requests_per_minute"):
            limit = getattr(self, key)
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
                raise ConfigurationError(f"{key}={limit!r} must be a whole number of at least 1, or be left out")

    def _check_lists(self) -> None:
        """Raises ConfigurationError for a string in place of a list: ``in`` would find parts of it."""
        keys = ("audiences", "scopes", "resources", "verifiers")
        lists: list[tuple[str, Any]] = [(key, getattr(self, key)) for key in keys]
        lists += [("default_scopes", self.scopes if self.default_scopes is None else self.default_scopes)]
        lists += [(f"extra_parameters.{key}", values) for key, values in self.extra_parameters.items()]
        for key, given in lists:
            single = isinstance(given, str) or not isinstance(given, Iterable)
            if single or not all(isinstance(each, str) for each in cast("Iterable[Any]", given)):
                raise ConfigurationError(f"{key} must be a tuple of strings, such as ('read',)")


class ProxyConfig(Value):
    """The whole configuration, with the same names as the file. Times are in seconds."""

    upstreams: Mapping[str, UpstreamConfig]
    """The authorization servers, by name."""
    vendors: Mapping[str, VendorConfig]
    """The vendors, by client id."""
    pepper: str | Secret
    """Keys the verifiers (HMAC-SHA-256); 16 bytes or more, the same for all workers and hosts."""
    cache: str | TokenCache = "disk:"
    """The cache that all workers and hosts share."""
    encryption_keys: tuple[str | bytes | Secret, ...] = ()
    """Seal what leaves the process. The first seals, all open. Empty: keys come from each client's own credential."""
    path: str = "/oauth/token"
    """The path of the token endpoint."""
    operator_path: str = "/operator"
    """The path of the operator's page."""
    metrics_path: str = "/metrics"
    """The path of the metrics for Prometheus."""
    lifetime_cap: float = 86400.0
    """A token that lives longer is used as if it ended after this time."""
    min_validity: float = 60.0
    """A vended token is good for at least this time. Choose more than the clients' own margins."""
    max_entries: int = 1000
    """The number of token sources that one process keeps, each of a vendor, audience and scope set."""
    max_body: int = 8192
    """The largest request body, in bytes."""
    max_upstream_calls: int = 8
    """The number of token requests that one process has under way at once, per upstream."""
    trusted_proxies: int = 0
    """The number of reverse proxies in front. The client's address is counted from the right."""
    failures_per_minute: int = 20
    """Wrong secrets per client in a minute, and three times as many per address; after that the answer is 429."""
    secret_attempts_per_minute: int = 5
    """Unknown secrets of one vendor that are tried upstream in a minute."""
    debug_header: bool = False
    """True adds the response header ``X-M2M-Cache: HIT`` or ``MISS``."""
    operator_token: str | Secret | None = None
    """The operator's token for its page and the metrics; None: neither exists."""

    def __repr__(self) -> str:
        return f"<ProxyConfig of {len(self.vendors)} vendors>"

    def checked(self) -> ProxyConfig:
        """The configuration with its defaults filled in and its secrets concealed.

        Raises:
            ConfigurationError: what is wrong with which key, and the fix.
        """
        if not self.upstreams:
            raise ConfigurationError("upstreams is empty. Fix: [upstreams.main] with token_endpoint = 'https://…'")
        upstreams = {name: upstream.checked(name) for name, upstream in self.upstreams.items()}
        vendors = {name: vendor.checked(name, upstreams) for name, vendor in self.vendors.items()}
        for name, least, most in _NUMBERS:
            _check_number(name, getattr(self, name), least, most)
        if self.min_validity >= self.lifetime_cap:
            raise ConfigurationError(
                f"min_validity={self.min_validity:g} s must be shorter than lifetime_cap={self.lifetime_cap:g} s"
            )
        _check_paths(self.path, self.operator_path, self.metrics_path)
        pepper = _concealed_secret("pepper", self.pepper)
        if pepper is None or len(pepper.reveal_bytes()) < 16:
            raise ConfigurationError(
                "pepper is shorter than 16 bytes. Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))' "
                "> pepper, and pepper = { file = 'pepper' }"
            )
        keys = tuple(key.reveal_bytes() if isinstance(key, Secret) else key for key in self.encryption_keys)
        return replace(
            self,
            upstreams=upstreams,
            vendors=vendors,
            pepper=pepper,
            cache=checked_cache(self.cache) or "memory:",
            encryption_keys=checked_keys(keys or None),
            operator_token=_checked_operator_token(self.operator_token),
        )


def _concealed_secret(name: str, given: Any) -> Secret | None:
    """A secret of the configuration as a Secret. Raises ConfigurationError if it cannot be one."""
    if given is None or isinstance(given, Secret):
        return given
    checked = checked_secret_source(given)
    if not isinstance(checked, Secret):
        raise ConfigurationError(f"{name} must be a string")
    return checked


def _check_secret(name: str, secret: Secret | None) -> None:
    """Raises ConfigurationError if a configured secret is one that no client can send."""
    if secret is not None:
        checked_secret(name, secret.reveal())


def _check_request(
    token_endpoint: str = "https://tenant.example/oauth/token",  # noqa: S107 - no secret
    client_id: str = "client",
    *,
    grant: Grant | None = None,
    audience: str | None = None,
    resource: str | None = None,
    extra: Mapping[str, str] | None = None,
    where: str = "",
) -> None:
    """Raises ConfigurationError for values that a token request cannot have."""
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


def _checked_operator_token(given: str | Secret | None) -> Secret | None:
    token = _concealed_secret("operator_token", given)
    if token is not None and not re.fullmatch(rb"[!-~]{16,}", token.reveal_bytes()):
        raise ConfigurationError(
            "operator_token must have 16 characters or more, printable ASCII without spaces. "
            "Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def _check_paths(path: str, operator_path: str, metrics_path: str) -> None:
    paths = {"path": path, "operator_path": operator_path, "metrics_path": metrics_path}
    for name, each in paths.items():
        if not isinstance(each, str) or not re.fullmatch(r"/[^\x00-\x20%?#\x7f-\U0010ffff]*", each):
            raise ConfigurationError(
                f"{name}={each!r} must begin with a slash, like '/oauth/token', and have only ASCII characters, "
                "no spaces and none of % ? #"
            )
        same = [other for other in paths if other != name and paths[other] == each]
        if same:
            raise ConfigurationError(f"{same[0]}={each!r} is {name} as well. Fix: choose another one")


_NUMBERS = (
    ("lifetime_cap", 1, DEFAULT_POLICY.max_lifetime),
    ("min_validity", 0, DEFAULT_POLICY.max_lifetime),
    ("max_entries", 1, 1_000_000),
    ("max_body", 256, 1_048_576),
    ("max_upstream_calls", 1, 1000),
    ("trusted_proxies", 0, 32),
    ("failures_per_minute", 1, 1_000_000),
    ("secret_attempts_per_minute", 1, 1_000_000),
)
_SECONDS = ("lifetime_cap", "min_validity")


def _check_number(name: str, value: object, least: float, most: float) -> None:
    kinds, words = ((int, float), "number") if name in _SECONDS else (int, "whole number")
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise ConfigurationError(f"{name}={value!r} must be a {words} from {least:g} to {most:g}")
