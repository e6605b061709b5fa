"""M2M_AUTH, checked: every mistake has an id, a place and a fix, at the start and at the first use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import Error, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django_m2m_auth import m2m

from m2m_auth.caches.memory import MemoryTokenCache

GOOD = {"TOKEN_ENDPOINT": "https://tenant.example/oauth/token", "CLIENT_ID": "client", "CLIENT_SECRET": "s3cret"}
DUMMY = "django.core.cache.backends.dummy.DummyCache"
FILE = "django.core.cache.backends.filebased.FileBasedCache"


class NoCache:
    """A class that is no token cache."""


def build_boom() -> None:
    """A backend that cannot be built."""
    raise OSError("s3cret")


def client(**entries: Any) -> dict[str, Any]:
    """M2M_AUTH with one client, changed by these entries; None takes one away."""
    entry = {key: value for key, value in {**GOOD, **entries}.items() if value is not None}
    return {"CLIENTS": {"billing": entry}}


def cache(given: Any) -> dict[str, Any]:
    """M2M_AUTH with one cache."""
    return {"CLIENTS": {"billing": GOOD}, "CACHES": {"default": given}}


ERRORS: dict[str, tuple[Any, str, str]] = {
    "not a dict": ([], "E001", "M2M_AUTH: must be a dict, not list"),
    "clients not a dict": ({"CLIENTS": ["billing"]}, "E001", "M2M_AUTH['CLIENTS']: must be a dict"),
    "client not a dict": ({"CLIENTS": {"billing": 1}}, "E001", "M2M_AUTH['CLIENTS']['billing']: must be a dict"),
    "unknown key": ({"CLIENT": {}}, "E002", "unknown key 'CLIENT' (did you mean 'CLIENTS'?)"),
    "unknown client key": (client(SCOPES="a"), "E002", "unknown key 'SCOPES' (did you mean 'SCOPE'?)"),
    "small letters": (client(scope="a"), "E002", "unknown key 'scope' (did you mean 'SCOPE'?)"),
    "no endpoint": (client(TOKEN_ENDPOINT=None), "E003", "['TOKEN_ENDPOINT']: is missing"),
    "blank client id": (client(CLIENT_ID=""), "E003", "['CLIENT_ID']: is blank"),
    "plain http": (client(TOKEN_ENDPOINT="http://a.example/t"), "E004", "is plain http"),
    "no secret": (client(CLIENT_SECRET=None), "E005", "client_secret is missing"),
    "blank secret": (client(CLIENT_SECRET=" "), "E005", "client_secret is blank"),
    "white space": (client(CLIENT_SECRET="s3cret\n"), "E005", "begins or ends with white space"),
    "path to nothing": (client(CLIENT_SECRET="secret_source.nothing"), "E005", "cannot be imported: ImportError"),
    "path to a text": (client(CLIENT_SECRET="secret_source.NOT_A_CALLABLE"), "E005", "leads to str"),
    "scope with commas": (client(SCOPE="a,b"), "E006", "has a comma"),
    "relative resource": (client(RESOURCE="orders"), "E006", "must be an absolute URI"),
    "unknown method": (client(CLIENT_AUTHENTICATION="basic"), "E006", "client_authentication"),
    "origins as a string": (client(ALLOWED_ORIGINS="https://a.example"), "E006", "must be a list of origins"),
    "short lease": (client(POLICY={"LEASE": 5}), "E007", "must be longer than policy.mint_deadline"),
    "unknown policy": (client(POLICY={"LEASES": 5}), "E002", "unknown key 'LEASES' (did you mean 'LEASE'?)"),
    "policy no dict": (client(POLICY=5), "E007", "must be a dict"),
    "budget of nothing": (client(BUDGET={"PER_MONTH": 0}), "E007", "at least 1"),
    "unknown cache": (client(CACHE="disc"), "E008", "its CACHE is 'disc'"),
    "unknown scheme": (cache("rediss2://host"), "E009", "no cache has this URL scheme"),
    "neither": (cache({"URL": "disk:"}), "E009", "is a dict with 'URL'"),
    "not importable": (cache({"BACKEND": "no.such.Cache"}), "E009", "'no.such.Cache' cannot be imported"),
    "no protocol": (cache({"BACKEND": "test_django_settings.NoCache"}), "E009", "has no TokenCache protocol"),
    "not buildable": (cache({"BACKEND": "test_django_settings.build_boom"}), "E009", "OSError while it was built"),
    "wrong options": (
        cache({"BACKEND": "m2m_auth.caches.memory.MemoryTokenCache", "OPTIONS": {"entries": 1}}),
        "E009",
        "TypeError while it was built",
    ),
    "no such Django cache": (cache({"DJANGO_CACHE": "defualt"}), "E009", "CACHES has no 'defualt' (did you mean 'de"),
    "dummy": (cache({"DJANGO_CACHE": "dummy"}), "E010", "dummy cache, which stores nothing"),
    "short key": ({**client(), "ENCRYPTION_KEYS": ["short"]}, "E011", "shorter than 16 bytes"),
}
WARNINGS: dict[str, tuple[Any, str, str]] = {
    "memory": (cache("memory:"), "W001", "every worker mints its own tokens"),
    "local memory": (cache({"DJANGO_CACHE": "default"}), "W001", "every worker mints its own tokens"),
    "file-based": (cache({"DJANGO_CACHE": "file"}), "W002", "its add() is not atomic"),
    "database": (cache({"DJANGO_CACHE": "table"}), "W003", "is a table of the project's database"),
    "culling": (cache({"DJANGO_CACHE": "table"}), "W004", "when there are more than 70"),
    "estimated budget": (
        {"CLIENTS": {"billing": {**GOOD, "BUDGET": {}}}, "CACHES": {"default": {"DJANGO_CACHE": "table"}}},
        "W005",
        "so the budget is an estimate",
    ),
    "maybe a path": (client(CLIENT_SECRET="nowhere.secrets.billing"), "W006", "taken for the secret itself"),
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "dummy": {"BACKEND": DUMMY},
    "file": {"BACKEND": FILE, "LOCATION": "/tmp/m2m-auth-tests"},
    "table": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "service_tokens",
        "OPTIONS": {"MAX_ENTRIES": 70},
    },
}


def checked(**options: Any) -> list[Any]:
    """What our checks say."""
    return run_checks(tags=["m2m_auth"], **options)


@pytest.mark.parametrize(("setting", "number", "words"), ERRORS.values(), ids=ERRORS)
def test_a_mistake_is_told_by_the_check_and_at_first_use(setting: Any, number: str, words: str) -> None:
    """One validation: the check's error, and ImproperlyConfigured before any I/O; neither shows a secret."""
    with override_settings(M2M_AUTH=setting, CACHES=CACHES):
        found = [message for message in checked() if message.id == f"m2m_auth.{number}"]
        assert len(found) == 1, checked()
        assert isinstance(found[0], Error)
        assert words in found[0].msg
        with pytest.raises(ImproperlyConfigured) as caught:
            m2m["billing"].requests_auth()
        if "billing" in m2m:
            assert words in str(caught.value)
        assert "s3cret" not in repr(checked()) + str(caught.value)


@pytest.mark.parametrize(("setting", "number", "words"), WARNINGS.values(), ids=WARNINGS)
def test_a_surprise_is_told_and_works(setting: Any, number: str, words: str) -> None:
    """A warning keeps nobody from using the client."""
    with override_settings(M2M_AUTH=setting, CACHES=CACHES):
        assert words in next(message.msg for message in checked() if message.id == f"m2m_auth.{number}")
        assert not any(isinstance(message, Error) for message in checked())
        assert m2m["billing"].source.status().state == "none"


def test_every_mistake_is_told_at_once() -> None:
    """Two mistakes in one client and one in another are three problems, and the good client works."""
    clients = {"good": GOOD, "bad": {**GOOD, "SCOPE": "a,b", "POLICY": {"LEASE": 1}}, "worse": {}}
    with override_settings(M2M_AUTH={"CLIENTS": clients}):
        assert sorted(message.id for message in checked()) == [
            f"m2m_auth.{number}" for number in ("E003", "E003", "E005", "E006", "E007")
        ]
        assert m2m["good"].source
        with pytest.raises(ImproperlyConfigured) as caught:
            _ = m2m["bad"].source
        assert len(str(caught.value).splitlines()) == 2


def test_good_settings_say_nothing(tmp_path: Path) -> None:
    """Every key at once, and not a word."""
    entry = {
        **GOOD,
        "CLIENT_SECRET": "secret_source.fetch",
        "AUDIENCE": "https://api.example",
        "SCOPE": ["read", "write"],
        "RESOURCE": "https://api.example/orders",
        "CLIENT_AUTHENTICATION": "client_secret_post",
        "ALLOWED_ORIGINS": ["https://api.example"],
        "CACHE": "local",
        "POLICY": {"MAX_WAIT": 5},
        "BUDGET": {"PER_MONTH": 500, "RESERVE": 0.2},
    }
    setting = {
        "CLIENTS": {"billing": entry},
        "CACHES": {"local": {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache", "OPTIONS": {"folder": tmp_path / "t"}}},
        "ENCRYPTION_KEYS": ["0123456789abcdef"],
        "RECEIVING": {},
    }
    with override_settings(M2M_AUTH=setting):
        assert checked(include_deployment_checks=True) == []
        source = m2m["billing"].source
        assert repr(source) == "<TokenSource 'client' at https://tenant.example/oauth/token>"
        assert not (tmp_path / "t").exists()


def test_a_backend_by_path_is_built_with_its_options() -> None:
    """{"BACKEND": …, "OPTIONS": …} becomes that object."""
    with override_settings(M2M_AUTH=cache({"BACKEND": "m2m_auth.caches.memory.MemoryTokenCache"})):
        assert isinstance(m2m.caches["default"], MemoryTokenCache)


def test_without_the_setting_there_is_nothing_to_say() -> None:
    """The application alone is no mistake; asking it for a client is."""
    with override_settings():
        from django.conf import settings

        del settings.M2M_AUTH
        m2m.reset()
        assert checked() == []
        assert (list(m2m), len(m2m)) == ([], 0)
        with pytest.raises(ImproperlyConfigured, match=r"no 'billing'\. Known: none"):
            _ = m2m["billing"]
    m2m.reset()


def test_deployment(tmp_path: Path) -> None:
    """--deploy: a public or open cache folder, no ALLOWED_ORIGINS, plain http; and nothing of it without --deploy."""
    media = tmp_path / "media"
    media.mkdir(mode=0o700)
    files = media / "files"
    files.mkdir()
    files.chmod(0o755)
    caches = {"default": {"BACKEND": FILE, "LOCATION": str(files)}}
    setting = {
        "CLIENTS": {
            "billing": {**GOOD, "TOKEN_ENDPOINT": "http://127.0.0.1/token"},
            "orders": {**GOOD, "ALLOWED_ORIGINS": ["http://orders.internal:8000"]},
            "good": {**GOOD, "ALLOWED_ORIGINS": ["https://api.example"]},
        },
        "CACHES": {"default": f"disk:{media}/tokens", "files": {"DJANGO_CACHE": "default"}},
    }
    with override_settings(M2M_AUTH=setting, CACHES=caches, MEDIA_ROOT=str(media)):
        told = {(message.id.partition(".")[2], message.msg.partition(":")[0]) for message in checked()}
        assert {number for number, _ in told} == {"W002", "W004"}
        more = checked(include_deployment_checks=True)
        assert {(message.id.partition(".")[2], message.msg.partition(":")[0]) for message in more} - told == {
            ("W011", "M2M_AUTH['CACHES']['default']"),
            ("W011", "M2M_AUTH['CACHES']['files']"),
            ("W012", "M2M_AUTH['CACHES']['files']"),
            ("W013", "M2M_AUTH['CLIENTS']['billing']"),
            ("W014", "M2M_AUTH['CLIENTS']['billing']"),
            ("W014", "M2M_AUTH['CLIENTS']['orders']"),
        }
