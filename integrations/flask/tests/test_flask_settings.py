"""The configuration: what it means, from Python and from the environment, and its mistakes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M
from settings_contract import SettingsContract

from m2m_auth import ConfigurationError, TokenSource
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

CLIENT = {"TOKEN_ENDPOINT": "https://as.invalid/token", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}


@pytest.mark.loopback
class TestSettings(SettingsContract):
    """The contract of all frameworks, over app.config."""

    spelling: ClassVar = {name: f"M2M_AUTH_{name}" for name in ("CLIENTS", "CLIENT", "CACHES", "ENCRYPTION_KEYS")}

    @contextmanager
    def billing(self, settings: dict[str, Any]) -> Iterator[TokenSource]:
        """The source of m2m["billing"]."""
        app = Flask("shop")
        app.config.update({f"M2M_AUTH_{name}": value for name, value in settings.items()})
        m2m = M2M(app)
        with app.app_context():
            yield m2m["billing"].source


AROUND: list[tuple[dict[str, Any], str]] = [
    ({"M2M_AUTH_CLIENT": {"billing": CLIENT}, "M2M_AUTH_CLIENTS": None}, r"^M2M_AUTH_CLIENT: unknown key \(did you"),
    ({"M2M_AUTH_ENCRYPTION_KEY": "k" * 32}, r"^M2M_AUTH_ENCRYPTION_KEY: unknown key \(did you mean 'ENCRYPTION_KEYS'"),
    ({"M2M_AUTH_ENCRYPTION_KEYS": "too short"}, r"^M2M_AUTH_ENCRYPTION_KEYS: has a key that is shorter than 16 bytes"),
    ({"M2M_AUTH_CACHES": {"default": {"FLASK_CACHING": "yes"}}}, r"\]: has a FLASK_CACHING that is not True\. Fix"),
    (
        {"M2M_AUTH_CACHES": {"default": {"BACKEND": "x.Y", "FLASK_CACHING": True}}},
        r"\]: names BACKEND and FLASK_CACHING; it must name one cache\. Fix: .*'FLASK_CACHING': True",
    ),
    (
        {"M2M_AUTH_CACHES": {"default": {"FLASK_CACHING": True, "OPTIONS": {}}}},
        r"\]: has OPTIONS, which belong to the settings of FLASK_CACHING\. Fix",
    ),
]


@pytest.mark.parametrize(("wrong", "words"), AROUND, ids=[str(wrong)[:60] for wrong, _ in AROUND])
def test_init_app_raises_what_is_wrong(wrong: dict[str, Any], words: str) -> None:
    """Afterwards the app can be initialised, without the mistake."""
    app = Flask("shop")
    app.config.update({"M2M_AUTH_CLIENTS": {"billing": CLIENT}, **wrong})
    with pytest.raises(ConfigurationError, match=words):
        M2M(app)
    for name in wrong:
        del app.config[name]
    app.config["M2M_AUTH_CLIENTS"] = {"billing": CLIENT}
    M2M(app)


def test_settings_of_other_packages_are_ignored() -> None:
    """A name with the same prefix that is near to no setting belongs to another package, as M2M_AUTH_RECEIVING does."""
    app = Flask("shop")
    app.config.update({"M2M_AUTH_CLIENTS": {"billing": CLIENT}, "M2M_AUTH_COLOUR": "red", "M2M_AUTH_RECEIVING": {}})
    with app.app_context():
        assert list(M2M(app)) == ["billing"]


def test_a_configuration_set_after_init_app(m2m: M2M) -> None:
    """It is read at first use, which raises its mistakes; that there is none is a mistake then."""
    app = Flask("shop")
    m2m.init_app(app)
    with app.app_context():
        with pytest.raises(ConfigurationError, match=r"<Flask 'shop'> has no M2M_AUTH_CLIENTS\. Fix: app\.config"):
            m2m["billing"]
        app.config["M2M_AUTH_CLIENTS"] = {"billing": {**CLIENT, "SCOPES": "x"}}
        with pytest.raises(ConfigurationError, match=r'\["SCOPES"\]: unknown key'):
            m2m["billing"]
        app.config["M2M_AUTH_CLIENTS"] = {"billing": CLIENT}
        assert m2m["billing"].alias == "billing"


@pytest.mark.loopback
def test_from_the_environment(
    server: FakeAuthorizationServer, m2m: M2M, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """from_prefixed_env alone: nested keys, JSON values, digits that JSON took for numbers, strings for lists."""
    server.clients["12345"] = "67890"
    variables = {
        "CLIENTS__billing__TOKEN_ENDPOINT": server.token_endpoint,
        "CLIENTS__billing__CLIENT_ID": "12345",
        "CLIENTS__billing__CLIENT_SECRET": "67890",
        "CLIENTS__billing__SCOPE": "orders:read orders:write",
        "CLIENTS__billing__ALLOWED_ORIGINS": f"{server.base_url}, https://api.example",
        "CLIENTS__billing__POLICY__max_wait": "5.5",
        "CLIENTS__billing__BUDGET": '{"per_month": 100}',
        "CLIENTS__stock": json.dumps({**CLIENT, "CACHE": None}),
        "CACHES__default": f"disk:{tmp_path}/tokens",
        "ENCRYPTION_KEYS": "0123456789abcdef0123456789abcdef",
    }
    for name, value in variables.items():
        monkeypatch.setenv(f"FLASK_M2M_AUTH_{name}", value)
    app = Flask("shop")
    app.config.from_prefixed_env()
    m2m.init_app(app)
    with app.app_context():
        assert list(m2m) == ["billing", "stock"]
        m2m["billing"].source.token()
        m2m["billing"].requests_auth()
    assert server.requests[0].client_id == "12345"
    assert dict(server.requests[0].parameters)["scope"] == "orders:read orders:write"
    assert (tmp_path / "tokens" / "cache.db").exists()


@pytest.mark.loopback
def test_several_encryption_keys(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The first seals and all open: a rotated key finds the token of the old one, a foreign key does not."""
    old, new, foreign = "old" * 8, "new" * 8, "foreign" * 4
    for keys, mints in ((old, 1), ([new, old], 1), ([foreign], 2)):
        forget_everything()
        with make_app(M2M_AUTH_ENCRYPTION_KEYS=keys).app_context():
            m2m["billing"].source.token()
        assert server.mints == mints


MODULE = """
from m2m_auth import ClientSecretPost

post = ClientSecretPost()
not_callable = 7
asked = []

def secret():
    asked.append(1)
    return "secret"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a project's module that can be imported."""
    name = f"project_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.loopback
def test_import_paths_wait_for_the_first_use(
    server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, project: str
) -> None:
    """A project's module may import the app, so init_app imports nothing."""
    app = make_app({"CLIENT_SECRET": f"{project}.secret", "CLIENT_AUTHENTICATION": f"{project}:post"})
    assert project not in sys.modules
    with app.app_context():
        m2m["billing"].source.token()
    assert sys.modules[project].asked == [1]
    assert dict(server.requests[0].parameters)["client_secret"] == "secret"


@pytest.mark.loopback
@pytest.mark.parametrize("name", ["missing", "missing.fetch", "not_callable"])
def test_an_import_path_that_leads_nowhere(make_app: MakeApp, m2m: M2M, project: str, name: str) -> None:
    """The error at first use names the client and the key. It does not show the path, which may be a secret."""
    with make_app({"CLIENT_SECRET": f"{project}.{name}"}).app_context():
        with pytest.raises(ConfigurationError, match=r'\["billing"\]\["CLIENT_SECRET"\].*(import|callable)') as raised:
            m2m["billing"].source  # noqa: B018
        assert "missing" not in str(raised.value)
        assert project not in str(raised.value)
