"""The public surface is a test: names, signatures and docstrings (DESIGN §4). A change here is a change for users."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

import m2m_auth
from m2m_auth import AccessToken, TokenSource
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT

SURFACE = {
    "m2m_auth": """AccessToken CacheUnavailable Call Capabilities ClientAuthentication ClientCredentials
        ClientSecretBasic ClientSecretPost Clock ConfigurationError Event Grant HttpRequest HttpResponse
        InsecureTransport M2MAuthError MalformedTokenResponse MintBudget MintBudgetExhausted OriginNotAllowed
        PrivateKeyJWT RefreshToken RenewalPolicy SourceStatus TokenCache TokenEndpointUnavailable
        TokenRequestRejected TokenSource TokenUnavailable TokenWatcher Transport TransportError __version__
        watch_calls""",
    "m2m_auth.errors": """CacheUnavailable ConfigurationError InsecureTransport M2MAuthError MalformedTokenResponse
        MintBudgetExhausted OriginNotAllowed TokenEndpointUnavailable TokenRequestRejected TokenUnavailable""",
    "m2m_auth.requests": "M2MAuth",
    "m2m_auth.httpx": "M2MAuth",
    "m2m_auth.httpx2": "M2MAuth",
    "m2m_auth.caches": "Capabilities TokenCache from_client from_url",
    "m2m_auth.caches.bounded": "BoundedCache Store",
    "m2m_auth.caches.cachelib": "CachelibTokenCache",
    "m2m_auth.caches.disk": "DiskTokenCache",
    "m2m_auth.caches.dynamodb": "DynamoDBTokenCache",
    "m2m_auth.caches.memcached": "MemcachedTokenCache",
    "m2m_auth.caches.memory": "MemoryTokenCache",
    "m2m_auth.caches.redis": "RedisTokenCache",
    "m2m_auth.caches.tiered": "TieredCache",
    "m2m_auth.events": "Event EventEmitter EventKind Subscriber all_of",
    "m2m_auth.operations": """BudgetBar ClearedReport ClientReport Finding HostMints HostRow HourBar HourCounts
        LifeStretch OpenCache PageForm PeriodMints RevealedToken StatusRow TokenLife TokenReport as_json as_table
        as_text clear doctor document page renew reports rows token_report""",
    "m2m_auth.serving": "MAX_BODY Answer Request Service answered asgi client_address wsgi",
    "m2m_auth.vending": "Caller Narrowed TokenExchange TokenVendor by_address by_bearer_token",
    "m2m_auth.proxy": """Counts ProxyConfig TokenProxy UpstreamConfig VendorConfig VendorReport add_vendor app load
        remove_vendor""",
    "m2m_auth.commands": "main",
    "m2m_auth.verifier": """BearerError InsufficientScope IntrospectionVerifier InvalidRequest InvalidToken JWTVerifier
        LazyVerifier MissingToken TokenVerifier VerifiedToken VerifierUnavailable bearer_token names verifier_from""",
    "m2m_auth.telemetry": "OpenTelemetrySubscriber PrometheusSubscriber",
    "m2m_auth.testing": """ApiCall CacheContract FailureMode FakeAuthorizationServer FakeClock FaultyCache
        RecordedRequest forget_tokens""",
}
"""The public modules and their names. Every other module is ours to change."""
FIRST = ["token_endpoint", "client_id", "client_secret"]
SOURCE_OPTIONS = {
    **dict.fromkeys(["audience", "scope", "resource", "extra_parameters"]),
    "client_authentication": "client_secret_basic",
    **dict.fromkeys(["grant", "cache", "encryption_keys", "policy", "budget", "transport", "clock", "on_event"]),
    "alias": None,
}
PLUGIN_OPTIONS = {"allowed_origins": None, "allow_insecure_http": False, "is_rejection": None}
PLUGINS = ["requests", "httpx", "httpx2"]


def module(name: str) -> ModuleType:
    """The module, or a skip where its library cannot be installed (httpx2 on Python 3.10)."""
    if name.endswith("httpx2"):
        pytest.importorskip("httpx2")
    return importlib.import_module(name)


def keywords(function: Any) -> dict[str, Any]:
    """The keyword-only parameters and their defaults."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.kind is each.KEYWORD_ONLY}


def positional(function: Any) -> list[str]:
    """The names of the parameters that may be given by position, without self."""
    found = inspect.signature(function).parameters.values()
    return [each.name for each in found if each.kind is each.POSITIONAL_OR_KEYWORD and each.name != "self"]


@pytest.mark.parametrize("name", SURFACE)
def test_exported_names(name: str) -> None:
    """No name comes or goes unnoticed, and each one is there."""
    found = module(name)
    assert sorted(found.__all__) == sorted(SURFACE[name].split())
    assert all(hasattr(found, each) for each in found.__all__)


def test_the_top_level_has_every_error() -> None:
    """The whole tree can be imported from the top."""
    assert set(m2m_auth.errors.__all__) <= set(m2m_auth.__all__)
    assert all(getattr(m2m_auth, name) is getattr(m2m_auth.errors, name) for name in m2m_auth.errors.__all__)


def test_options_of_a_source() -> None:
    """DESIGN §4, in its order, with its defaults."""
    assert positional(TokenSource.__init__) == FIRST
    assert keywords(TokenSource.__init__) == SOURCE_OPTIONS
    assert list(inspect.signature(TokenSource.__init__).parameters)[4:-1] == list(SOURCE_OPTIONS)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_plugin_has_the_same_options(plugin: str) -> None:
    """One line is the same line for requests, httpx and httpx2."""
    auth = module(f"m2m_auth.{plugin}").M2MAuth
    assert positional(auth.__init__) == FIRST
    assert inspect.signature(auth.__init__).parameters["client_secret"].default is None
    assert list(keywords(auth.__init__).items()) == [*SOURCE_OPTIONS.items(), *PLUGIN_OPTIONS.items()]
    assert positional(auth.from_source) == ["source"]
    assert keywords(auth.from_source) == PLUGIN_OPTIONS


@pytest.mark.parametrize("plugin", PLUGINS)
def test_every_plugin_takes_every_option_of_a_source(plugin: str) -> None:
    """Passed on, and found out by name where it is none."""
    auth = module(f"m2m_auth.{plugin}").M2MAuth
    made = auth("https://as.example/token", "client", "secret", **SOURCE_OPTIONS, **PLUGIN_OPTIONS)
    assert isinstance(made.source, TokenSource)
    assert auth.from_source(made.source).source is made.source
    with pytest.raises(TypeError, match=r"unknown option 'audiance' \(did you mean 'audience'\?\)"):
        auth("https://as.example/token", "client", "secret", audiance="x")


def test_what_a_source_can_do() -> None:
    """Its public members, and no others: what front doors and tools need is behind one private object."""
    public = {name for name in dir(TokenSource) if not name.startswith("_")}
    assert public == {"atoken", "close", "reject", "renew", "status", "token", "watch"}
    for special in ("__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"):
        assert hasattr(TokenSource, special)
    assert inspect.iscoroutinefunction(TokenSource.atoken)


def test_what_a_token_has() -> None:
    """DESIGN §4's list, and no way to a secret but ``value`` and ``authorization``."""
    public = {name for name in dir(AccessToken) if not name.startswith("_")}
    assert public == {"value", "token_type", "scope", "issued_at", "expires_at", "fingerprint", "authorization"}


def test_client_authentication_methods() -> None:
    """Their options, by DESIGN §4."""
    assert positional(ClientSecretBasic.__init__) == ["encoding"]
    assert list(inspect.signature(ClientSecretPost).parameters) == []
    defaults = {each.name: each.default for each in inspect.signature(PrivateKeyJWT).parameters.values()}
    assert list(defaults) == ["key", "algorithm", "key_id", "audience", "lifetime"]
    assert list(defaults.values())[1:] == ["RS256", None, None, 60]


def test_the_version_is_the_distributions() -> None:
    """One number."""
    from importlib.metadata import version

    assert m2m_auth.__version__ == version("m2m-auth")


def documented(name: str) -> Iterator[tuple[str, object]]:
    """Every public class and function of a module that is defined there, and the classes' public members."""
    for label, thing in vars(module(name)).items():
        if label.startswith("_") or getattr(thing, "__module__", None) != name:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield f"{name}.{label}", thing
        if inspect.isclass(thing):
            members = {key: value for key, value in vars(thing).items() if not key.startswith("_")}
            for key, value in members.items():
                if inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod)):
                    yield f"{name}.{label}.{key}", getattr(value, "__func__", value)


@pytest.mark.parametrize("name", sorted(found.name for found in pkgutil.walk_packages(m2m_auth.__path__, "m2m_auth.")))
def test_everything_public_has_a_docstring(name: str) -> None:
    """Modules, classes, functions, methods and properties: ``help()`` is a place where users look."""
    assert inspect.getdoc(module(name))
    assert [label for label, thing in documented(name) if not inspect.getdoc(thing)] == []
