"""The token request (RFC 6749 §4.4.2): its options checked before any I/O, its cache key, and the request itself."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlencode, urlsplit

from ..errors import ConfigurationError
from .client_authentication.protocol import ClientAuthentication
from .client_authentication.registry import by_name
from .grants import ClientCredentials, Grant, first_refresh_token
from .origins import checked_insecure_http, is_loopback
from .secrets import encodable
from .transport import HttpRequest

__all__ = ["TokenRequest", "build"]


class TokenRequest(NamedTuple):
    """Everything that a token request depends on, except the secret. Two equal ones ask for the same token."""

    token_endpoint: str
    client_id: str
    authentication: ClientAuthentication
    grant: Grant
    audience: str | None
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    extra_parameters: tuple[tuple[str, str], ...]

    @classmethod
    def checked(
        cls,
        token_endpoint: str,
        client_id: str,
        *,
        client_authentication: str | ClientAuthentication,
        grant: Grant | None,
        audience: str | None,
        scope: str | Iterable[str] | None,
        resource: str | Sequence[str] | None,
        extra_parameters: Mapping[str, str] | None,
        allow_insecure_http: bool = False,
    ) -> TokenRequest:
        """Return the request that these options describe.

        Raises:
            ConfigurationError: an option makes no sense; the message names it and the fix.
        """
        return cls(
            _endpoint(token_endpoint, checked_insecure_http(allow_insecure_http)),
            _text("client_id", client_id),
            by_name(client_authentication),
            _grant(grant),
            None if audience is None else _text("audience", audience),
            _scopes(scope),
            _resources(resource),
            _extra(extra_parameters),
        )

    def parameters(self) -> list[tuple[str, str]]:
        """Return the request's parameters, without those of the client authentication."""
        pairs = [("grant_type", self.grant.grant_type), *self.grant.parameters()]
        if self.scopes:
            pairs.append(("scope", " ".join(self.scopes)))
        if self.audience is not None:
            pairs.append(("audience", self.audience))
        pairs.extend(("resource", resource) for resource in self.resources)
        pairs.extend(self.extra_parameters)
        return pairs

    def digest(self, generation: bytes) -> bytes:
        """Return the SHA-256 over every parameter, each with its length in front, so that no two requests share a key.

        ``generation`` stands for the secret: a new secret has a new key.
        """
        refresh_token = first_refresh_token(self.grant)
        fields: list[str | bytes] = [
            _SCHEMA,
            self.token_endpoint,
            self.client_id,
            self.authentication.method,
            generation,
            self.grant.grant_type,
            self.grant.encoding,
            *_counted(self.grant.parameters()),
            b"" if refresh_token is None else hashlib.sha256(refresh_token.reveal_bytes()).digest(),
            "" if self.audience is None else "audience:" + self.audience,
            *_counted((scope,) for scope in sorted(self.scopes)),
            *_counted((resource,) for resource in self.resources),
            *_counted(sorted(self.extra_parameters)),
        ]
        digest = hashlib.sha256()
        for field in fields:
            raw = field.encode() if isinstance(field, str) else field
            digest.update(len(raw).to_bytes(4, "big") + raw)
        return digest.digest()


_SCHEMA = "m2m-auth cache schema 1"


def _counted(groups: Iterable[tuple[str, ...]]) -> list[str]:
    """The groups flattened, with their count in front, so that two different lists never read alike."""
    rows = list(groups)
    return [str(len(rows)), *(value for row in rows for value in row)]


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise ConfigurationError(f"{name} must be a string, not {type(value).__name__}")
    if not value.strip():
        raise ConfigurationError(f"{name} is blank. Fix: set it; an unset environment variable is the usual cause")
    if value != value.strip():
        raise ConfigurationError(f"{name} begins or ends with white space. Fix: {name}.strip()")
    if not encodable(value):
        raise ConfigurationError(f"{name} has characters that are not UTF-8. Fix: decode it with its own encoding")
    return value


def _endpoint(url: object, allow_insecure_http: bool) -> str:
    text = _text("token_endpoint", url)
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("token_endpoint is not a URL like 'https://tenant.example/oauth/token'") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("token_endpoint has credentials in the URL. Fix: pass client_id= and client_secret=")
    if not host or parts.scheme not in ("http", "https") or re.search(r"[\x00-\x20\x7f\\]", text):
        raise ConfigurationError(f"token_endpoint={text!r} is not a URL like 'https://tenant.example/oauth/token'")
    if parts.fragment:
        raise ConfigurationError(
            f"token_endpoint={text!r} has a fragment (RFC 6749 §3.2). Fix: drop '#{parts.fragment}'"
        )
    if parts.scheme == "http" and not allow_insecure_http and not is_loopback(host):
        raise ConfigurationError(
            f"token_endpoint={text!r} is plain http, and the client secret goes there. Fix: use https (RFC 6749 §3.2), "
            "or pass allow_insecure_http=True if the network itself is trusted"
        )
    return text


_CLIENT_CREDENTIALS = ClientCredentials()


def _grant(grant: object) -> Grant:
    if grant is None:
        return _CLIENT_CREDENTIALS
    if isinstance(grant, type) or not isinstance(grant, Grant):
        raise ConfigurationError(
            f"grant={type(grant).__name__} is not a grant. Fix: leave it out, or pass ClientCredentials()"
        )
    return grant


def _scopes(scope: str | Iterable[str] | None) -> tuple[str, ...]:
    if scope is None:
        return ()
    try:
        names = scope.split() if isinstance(scope, str) else [_text("scope", name) for name in scope]
    except TypeError:
        raise ConfigurationError(f"scope must be a string or a list of strings, not {type(scope).__name__}") from None
    for name in names:
        if "," in name:
            raise ConfigurationError(f"scope={name!r} has a comma. Fix: separate scopes by spaces, or pass a list")
        if " " in name:
            raise ConfigurationError(f"scope={name!r} has a space. Fix: in a list, each element is one scope")
        if not re.fullmatch(r"[\x21\x23-\x5b\x5d-\x7e]+", name):
            raise ConfigurationError(f"scope={name!r} has characters that no scope may have (RFC 6749 §3.3)")
    return tuple(dict.fromkeys(names))


def _resources(resource: str | Sequence[str] | None) -> tuple[str, ...]:
    if resource is None:
        return ()
    try:
        values = (resource,) if isinstance(resource, str) else tuple(_text("resource", value) for value in resource)
    except TypeError:
        kind = type(resource).__name__
        raise ConfigurationError(f"resource must be a string or a list of strings, not {kind}") from None
    for value in values:
        if not _absolute(_text("resource", value)):
            raise ConfigurationError(
                f"resource={value!r} must be an absolute URI without a fragment (RFC 8707 §2). "
                "A plain name is usually an audience: pass audience="
            )
    return values


def _absolute(uri: str) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return bool(parts.scheme) and not parts.fragment


_RESERVED = {name: name for name in ("scope", "audience", "resource", "client_id", "client_secret")} | {
    "grant_type": "grant",
    "client_assertion": "client_authentication",
    "client_assertion_type": "client_authentication",
}


def _extra(parameters: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    if parameters is None:
        return ()
    if not isinstance(parameters, Mapping):
        raise ConfigurationError(f"extra_parameters must be a dict of strings, not {type(parameters).__name__}")
    for name, value in parameters.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise ConfigurationError(f"extra_parameters[{name!r}] must be a string")
        if not encodable(name + value):
            raise ConfigurationError(f"extra_parameters[{name!r}] has characters that are not UTF-8. Fix: decode it")
        if name in _RESERVED:
            raise ConfigurationError(
                f"extra_parameters has {name!r}, which has its own option. Fix: pass {_RESERVED[name]}="
            )
    return tuple(parameters.items())


def build(
    token_endpoint: str,
    parameters: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    encoding: str,
    timeout: float,
) -> HttpRequest:
    """Return the token request: ``parameters`` as a form (RFC 6749 §4.4.2) or, where a vendor wants it, as JSON.

    Args:
        token_endpoint: the URL.
        parameters: names and values, in order; a name may repeat.
        headers: further headers, e.g. the client authentication's.
        encoding: ``form`` or ``json``.
        timeout: seconds for the whole exchange.
    """
    pairs = list(parameters)
    if encoding == "json":
        body = json.dumps(_object(pairs)).encode()
        content_type = "application/json"
    else:
        body = urlencode(pairs).encode()
        content_type = "application/x-www-form-urlencoded"
    common = {"Content-Type": content_type, "Accept": "application/json", "Cache-Control": "no-store"}
    return HttpRequest("POST", token_endpoint, {**common, **headers}, body, timeout)


def _object(pairs: list[tuple[str, str]]) -> dict[str, str | list[str]]:
    """A repeated parameter (``resource``) becomes a list."""
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}
