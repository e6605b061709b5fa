"""M2M_AUTH: what it means, and its mistakes, by the system checks and at first use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from django.core.checks import Error, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from django_m2m_auth import m2m
from settings_contract import GOOD, SettingsContract, cache, client

from m2m_auth import TokenSource
from m2m_auth.caches.memory import MemoryTokenCache

FILE = "django.core.cache.backends.filebased.FileBasedCache"


@pytest.mark.loopback
class TestSettings(SettingsContract):
    """The contract of all frameworks, over M2M_AUTH."""

    spelling: ClassVar = {name: f'M2M_AUTH["{name}"]' for name in ("CLIENTS", "CLIENT", "CACHES", "ENCRYPTION_KEYS")}
    error = ImproperlyConfigured

    @contextmanager
    def billing(self, settings: dict[str, Any]) -> Iterator[TokenSource]:
        """The source of m2m["billing"]."""
        with override_settings(M2M_AUTH=settings):
            yield m2m["billing"].source


NUMBERS = {
    "E001": {"CLIENTS": {"billing": "s3cret"}},
    "E002": client(SCOPES="a"),
    "E003": client(TOKEN_ENDPOINT=None),
    "E004": client(TOKEN_ENDPOINT="http://tenant.example/token"),
    "E005": client(CLIENT_SECRET="s3cret\n"),
    "E006": client(SCOPE="a,b"),
    "E007": client(POLICY={"LEASE": 5}),
    "E008": client(CACHE="disc"),
    "E009": cache({"DJANGO_CACHE": "defualt"}),
    "E010": cache({"DJANGO_CACHE": "dummy"}),
    "E011": {**client(), "ENCRYPTION_KEYS": ["short"]},
}
"""An example of each number of an error; tests/support/settings_contract.py has every message."""
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
    "maybe a path": (client(CLIENT_SECRET="nowhere.secrets.billing"), "W006", "used as the secret itself"),
}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "dummy": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"},
    "file": {"BACKEND": FILE, "LOCATION": "/tmp/m2m-auth-tests"},
    "table": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "service_tokens",
        "OPTIONS": {"MAX_ENTRIES": 70},
    },
}


def checked(**options: Any) -> list[Any]:
    """What the checks of m2m_auth say."""
    return run_checks(tags=["m2m_auth"], **options)


@pytest.mark.parametrize(("number", "setting"), NUMBERS.items(), ids=NUMBERS)
def test_the_check_and_the_first_use_say_the_same(number: str, setting: Any) -> None:
    """One validation: the check has a number, a message and a hint, and ImproperlyConfigured has the same text."""
    with override_settings(M2M_AUTH=setting, CACHES=CACHES):
        (found,) = checked()
        assert (type(found), found.id) == (Error, f"m2m_auth.{number}")
        with pytest.raises(ImproperlyConfigured) as caught:
            m2m["billing"].requests_auth()
        assert str(caught.value) == found.msg + (f". Fix: {found.hint}" if found.hint else "")
        assert "s3cret" not in repr(found) + str(caught.value)


def test_a_setting_that_is_not_a_dict() -> None:
    """The check and the first use say so."""
    with override_settings(M2M_AUTH=[]):
        (found,) = checked()
        assert (found.id, found.msg) == ("m2m_auth.E001", "M2M_AUTH: must be a dict, not list")
        with pytest.raises(ImproperlyConfigured, match=r"^M2M_AUTH: must be a dict, not list\. Fix: "):
            m2m["billing"].requests_auth()


@pytest.mark.parametrize(("setting", "number", "words"), WARNINGS.values(), ids=WARNINGS)
def test_a_warning_does_not_stop_a_client(setting: Any, number: str, words: str) -> None:
    """A client with a warning can be used."""
    with override_settings(M2M_AUTH=setting, CACHES=CACHES):
        assert words in next(message.msg for message in checked() if message.id == f"m2m_auth.{number}")
        assert not any(isinstance(message, Error) for message in checked())
        assert m2m["billing"].source.status().state == "none"


def test_every_mistake_is_reported_at_once() -> None:
    """The mistakes of two clients are all reported, and the third client works."""
    clients = {"good": GOOD, "bad": {**GOOD, "SCOPE": "a,b", "POLICY": {"LEASE": 1}}, "worse": {}}
    with override_settings(M2M_AUTH={"CLIENTS": clients}):
        assert sorted(message.id for message in checked()) == [
            f"m2m_auth.{number}" for number in ("E003", "E003", "E005", "E006", "E007")
        ]
        assert m2m["good"].source
        with pytest.raises(ImproperlyConfigured) as caught:
            _ = m2m["bad"].source
        assert len(str(caught.value).splitlines()) == 2


def test_good_settings_cause_no_message(tmp_path: Path) -> None:
    """With every key at once there is no message."""
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
        assert repr(source) == "<TokenSource 'client' at https://tenant.example/token>"
        assert not (tmp_path / "t").exists()


def test_a_backend_by_path_is_built_with_its_options() -> None:
    """{"BACKEND": …, "OPTIONS": …} becomes that object."""
    with override_settings(M2M_AUTH=cache({"BACKEND": "m2m_auth.caches.memory.MemoryTokenCache"})):
        assert isinstance(m2m.caches["default"], MemoryTokenCache)


def test_without_the_setting_there_is_no_message() -> None:
    """The application alone is no mistake; asking it for a client is."""
    with override_settings():
        from django.conf import settings

        del settings.M2M_AUTH
        m2m.reset()
        assert checked() == []
        assert (list(m2m), len(m2m)) == ([], 0)
        with pytest.raises(ImproperlyConfigured, match=r"no client 'billing'\. Known: none"):
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
            "orders": {**GOOD, "ALLOWED_ORIGINS": ["http://orders.internal:8000"], "ALLOW_INSECURE_HTTP": True},
            "good": {**GOOD, "ALLOWED_ORIGINS": ["https://api.example"]},
        },
        "CACHES": {"default": f"disk:{media}/tokens", "files": {"DJANGO_CACHE": "default"}},
    }
    with override_settings(M2M_AUTH=setting, CACHES=caches, MEDIA_ROOT=str(media)):
        found = {(message.id.partition(".")[2], message.msg.partition(":")[0]) for message in checked()}
        assert {number for number, _ in found} == {"W002", "W004"}
        more = checked(include_deployment_checks=True)
        assert {(message.id.partition(".")[2], message.msg.partition(":")[0]) for message in more} - found == {
            ("W011", 'M2M_AUTH["CACHES"]["default"]'),
            ("W011", 'M2M_AUTH["CACHES"]["files"]'),
            ("W012", 'M2M_AUTH["CACHES"]["files"]'),
            ("W013", 'M2M_AUTH["CLIENTS"]["billing"]'),
            ("W014", 'M2M_AUTH["CLIENTS"]["billing"]'),
            ("W014", 'M2M_AUTH["CLIENTS"]["orders"]'),
        }


def test_a_disk_cache_in_a_readable_folder_is_not_open(tmp_path: Path) -> None:
    """Its files are private, whatever the mode of the folder."""
    tmp_path.chmod(0o755)
    clients = {"good": {**GOOD, "ALLOWED_ORIGINS": ["https://api.example"]}}
    with override_settings(M2M_AUTH={"CLIENTS": clients, "CACHES": {"default": f"disk:{tmp_path}"}}):
        assert checked(include_deployment_checks=True) == []


def test_the_default_cache_of_a_user_without_a_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the process's memory: a warning of the checks, and one in the log with the reason. The client works."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nonexistent"))
    with override_settings(M2M_AUTH={"CLIENTS": {"billing": GOOD}}):
        assert [message.id for message in checked()] == ["m2m_auth.W001"]
        assert [message.id for message in checked()] == ["m2m_auth.W001"]
        assert m2m["billing"].source.status().state == "none"
    (record,) = caplog.records
    assert 'M2M_AUTH["CACHES"]["default"] is not set' in record.getMessage()
    with override_settings(M2M_AUTH={"CLIENTS": {"billing": {**GOOD, "CACHE": None}}}):
        assert checked() == []
    with override_settings(M2M_AUTH={"CLIENTS": {"billing": GOOD}, "CACHES": {"default": "disk:"}}):
        assert [message.id for message in checked()] == ["m2m_auth.E009"]
