"""The public surface is a test: names, signatures and docstrings. A change here is a change for users."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from front_doors import FRONT_DOORS, INSTALLED

import m2m_auth
from m2m_auth import AccessToken, TokenSource
from m2m_auth.oauth2.client_authentication.client_secret_basic import ClientSecretBasic
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT

SURFACE = {
    "m2m_auth": """AccessToken AnswerRules CacheUnavailable Call Capabilities ClientAuthentication ClientCredentials
        ClientSecretBasic ClientSecretPost Clock ConfigurationError Event Grant HttpRequest HttpResponse
        InsecureTransport M2MAuthError MalformedTokenResponse MintBudget MintBudgetExhausted OriginNotAllowed
        PrivateKeyJWT RefreshToken RenewalPolicy RequestCredentials Secret SourceStatus TokenCache
        TokenEndpointUnavailable
        TokenRequestRejected TokenSource TokenUnavailable TokenWatcher Transport TransportError __version__
        watch_calls""",
    "m2m_auth.errors": """CacheUnavailable ConfigurationError InsecureTransport M2MAuthError MalformedTokenResponse
        MintBudgetExhausted OriginNotAllowed TokenEndpointUnavailable TokenRequestRejected TokenUnavailable""",
    "m2m_auth.requests": "M2MAuth",
    "m2m_auth.httpx": "M2MAuth",
    "m2m_auth.httpx2": "M2MAuth",
    "m2m_auth.caches": "Capabilities TokenCache delaying_forks from_client from_url",
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
    "m2m_auth.settings": """CLIENT_KEYS CacheSettings ClientKey ClientSettings DEFAULT_CACHES FrameworkCache Problem
        SETTING_KEYS Settings Spelling nearest nested prefixed read_settings refuse_unknown_client""",
    "m2m_auth.serving": "MAX_BODY Answer Request Service answered asgi client_address wsgi",
    "m2m_auth.vending": "Caller Narrowed TokenExchange TokenVendor by_address by_bearer_token",
    "m2m_auth.proxy": """Counts ProxyConfig TokenProxy UpstreamConfig VendorConfig VendorReport add_vendor app load
        remove_vendor""",
    "m2m_auth.commands": "main",
    "m2m_auth.verifier": """BearerError InsufficientScope IntrospectionVerifier InvalidRequest InvalidToken JWTVerifier
        LazyVerifier MissingToken Requirement TokenVerifier VerifiedToken VerifierUnavailable bearer_token caller_of
        names verifier_from""",
    "m2m_auth.telemetry": "OpenTelemetrySubscriber PrometheusSubscriber",
    "m2m_auth.testing": """ApiCall CacheContract FailureMode FakeAuthorizationServer FakeClock FaultyCache
        RecordedRequest forget_tokens""",
}
"""The public modules and their names. Every other module may change without notice."""
FIRST = ["token_endpoint", "client_id", "client_secret"]
SOURCE_OPTIONS = {
    **dict.fromkeys(["audience", "scope", "resource", "extra_parameters"]),
    "client_authentication": "client_secret_basic",
    **dict.fromkeys(["grant", "answers", "cache", "encryption_keys", "policy", "budget", "transport"]),
    **dict.fromkeys(["verify", "proxies", "clock", "on_event", "alias"]),
    "allow_insecure_http": False,
}
FRONT_DOOR_OPTIONS = {
    "allowed_origins": None,
    "allow_insecure_http": False,
    "is_rejection": None,
    "header": "Authorization",
    "scheme": "Bearer",
}
OF_BOTH = {*SOURCE_OPTIONS} & {*FRONT_DOOR_OPTIONS}
"""Where they stand among a front door's options, they are about the API, too."""
MODULES = {*SURFACE} - {f"m2m_auth.{name}" for name in FRONT_DOORS if name not in INSTALLED}


def keywords(function: Any) -> dict[str, Any]:
    """The keyword-only parameters and their defaults."""
    found = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in found if each.kind is each.KEYWORD_ONLY}


def positional(function: Any) -> list[str]:
    """The names of the parameters that may be given by position, without self."""
    found = inspect.signature(function).parameters.values()
    return [each.name for each in found if each.kind is each.POSITIONAL_OR_KEYWORD and each.name != "self"]


def front_doors() -> list[Any]:
    """``M2MAuth`` of each HTTP library."""
    return [importlib.import_module(f"m2m_auth.{name}").M2MAuth for name in INSTALLED]


def test_exported_names() -> None:
    """Every name of every public module is in the table above, and each one exists."""
    modules = {name: importlib.import_module(name) for name in MODULES}
    assert {name: sorted(found.__all__) for name, found in modules.items()} == {
        name: sorted(SURFACE[name].split()) for name in MODULES
    }
    missing = [(name, each) for name, found in modules.items() for each in found.__all__ if not hasattr(found, each)]
    assert missing == []


def test_every_front_door_is_public() -> None:
    """Each file with an ``M2MAuth`` is in the table above."""
    assert {f"m2m_auth.{name}" for name in FRONT_DOORS} <= set(SURFACE)


def test_the_top_level_has_every_error() -> None:
    """Users import every error from the top, too."""
    assert set(m2m_auth.errors.__all__) <= set(m2m_auth.__all__)
    assert all(getattr(m2m_auth, name) is getattr(m2m_auth.errors, name) for name in m2m_auth.errors.__all__)


def test_options_of_a_source() -> None:
    """Their order and their defaults."""
    assert positional(TokenSource.__init__) == FIRST
    assert keywords(TokenSource.__init__) == SOURCE_OPTIONS
    assert list(inspect.signature(TokenSource.__init__).parameters)[4:-1] == list(SOURCE_OPTIONS)


def test_every_front_door_has_the_same_options() -> None:
    """One line of a user is the same line for requests, httpx and httpx2."""
    for auth in front_doors():
        assert positional(auth.__init__) == FIRST
        assert inspect.signature(auth.__init__).parameters["client_secret"].default is None
        of_the_source = [(name, default) for name, default in SOURCE_OPTIONS.items() if name not in OF_BOTH]
        assert list(keywords(auth.__init__).items()) == [*of_the_source, *FRONT_DOOR_OPTIONS.items()]
        assert positional(auth.from_source) == ["source"]
        assert keywords(auth.from_source) == FRONT_DOOR_OPTIONS


def test_every_front_door_takes_every_option_of_a_source() -> None:
    """It passes them on, and names the nearest option for a name that does not exist."""
    for auth in front_doors():
        made = auth("https://as.example/token", "client", "secret", **{**SOURCE_OPTIONS, **FRONT_DOOR_OPTIONS})
        assert isinstance(made.source, TokenSource)
        assert auth.from_source(made.source).source is made.source
        with pytest.raises(TypeError, match=r"unknown option 'audiance' \(did you mean 'audience'\?\)"):
            auth("https://as.example/token", "client", "secret", audiance="x")


def test_what_a_source_can_do() -> None:
    """Its public members, and no others: what front doors and tools need is behind one private object."""
    public = {name for name in dir(TokenSource) if not name.startswith("_")}
    assert public == {
        *("arenew", "astatus", "async_callable", "atoken", "close", "reject", "renew", "status", "token", "watch")
    }
    for special in ("__call__", "__enter__", "__exit__", "__aenter__", "__aexit__"):
        assert hasattr(TokenSource, special)
    assert inspect.iscoroutinefunction(TokenSource.atoken)


def test_what_a_token_has() -> None:
    """Its public members: only ``value`` and ``authorization`` show the secret."""
    public = {name for name in dir(AccessToken) if not name.startswith("_")}
    assert public == {"value", "token_type", "scope", "issued_at", "expires_at", "fingerprint", "authorization"}


def test_client_authentication_methods() -> None:
    """Their options, in order."""
    assert positional(ClientSecretBasic.__init__) == ["encoding"]
    assert list(inspect.signature(ClientSecretPost).parameters) == []
    defaults = {each.name: each.default for each in inspect.signature(PrivateKeyJWT).parameters.values()}
    assert list(defaults) == ["key", "algorithm", "key_id", "audience", "lifetime"]
    assert list(defaults.values())[1:] == ["RS256", None, None, 60]


def test_the_version_is_the_distributions() -> None:
    """The package and its distribution have one version number."""
    from importlib.metadata import version

    assert m2m_auth.__version__ == version("m2m-auth")


def documented(module: ModuleType) -> Iterator[tuple[str, object]]:
    """The module itself, every public class and function that it defines, and the classes' public members."""
    yield module.__name__, module
    for label, thing in vars(module).items():
        if label.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield f"{module.__name__}.{label}", thing
        if inspect.isclass(thing):
            for key, value in vars(thing).items():
                member = inspect.isfunction(value) or isinstance(value, (property, classmethod, staticmethod))
                if member and not key.startswith("_"):
                    yield f"{module.__name__}.{label}.{key}", getattr(value, "__func__", value)


def test_everything_public_has_a_docstring() -> None:
    """Modules, classes, functions, methods and properties: users read ``help()``."""
    names = {found.name for found in pkgutil.walk_packages(m2m_auth.__path__, "m2m_auth.")}
    modules = [importlib.import_module(name) for name in sorted(names - ({*SURFACE} - MODULES))]
    things = [each for module in modules for each in documented(module)]
    assert len(things) > 500, "the walk finds nothing"
    assert [label for label, thing in things if not inspect.getdoc(thing)] == []
