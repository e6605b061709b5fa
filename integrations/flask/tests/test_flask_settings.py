"""The configuration: every mistake is named before any I/O, from Python and from the environment alike."""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M

from m2m_auth import ConfigurationError, MintBudget, MintBudgetExhausted, RenewalPolicy
from m2m_auth.oauth2.client_authentication.client_secret_post import ClientSecretPost
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

CLIENT = {"TOKEN_ENDPOINT": "https://as.invalid/token", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
IN_CLIENT: list[tuple[dict[str, Any], str]] = [
    (
        {"CLIENT_SECRTE": "x"},
        r"unknown key 'CLIENT_SECRTE' \(did you mean 'CLIENT_SECRET'\?\)\. Known: TOKEN_ENDPOINT, ",
    ),
    ({"client_id": "x"}, r"unknown key 'client_id' \(did you mean 'CLIENT_ID'\?\)"),
    ({"TOKEN_ENDPOINT": None}, r"has no TOKEN_ENDPOINT\. Fix"),
    ({"CLIENT_ID": None}, r"has no CLIENT_ID\. Fix"),
    ({"CLIENT_ID": " "}, r"client_id is blank\. Fix"),
    ({"CLIENT_SECRET": ""}, r"client_secret is blank\. Fix: set it; an unset environment variable"),
    ({"CLIENT_SECRET": None}, r"client_secret is missing.*Fix"),
    ({"CLIENT_SECRET": "secret\n"}, r"client_secret begins or ends with white space"),
    ({"CLIENT_SECRET": 1e5}, r"\['CLIENT_SECRET'\] must be a string, not float\. In the environment, quote it"),
    ({"CLIENT_SECRET": True}, r"\['CLIENT_SECRET'\] must be a string, not bool"),
    ({"CLIENT_SECRET": ["s"]}, r"client_secret must be a string or a callable"),
    ({"TOKEN_ENDPOINT": "http://as.invalid/token"}, r"plain http.*Fix: use https"),
    ({"SCOPE": "read,write"}, r"scope='read,write' has a comma"),
    ({"RESOURCE": "orders"}, r"resource='orders' must be an absolute URI"),
    ({"AUDIENCE": ""}, r"audience is blank"),
    ({"CLIENT_AUTHENTICATION": "client_secret_pots"}, r"did you mean 'client_secret_post'"),
    ({"CLIENT_AUTHENTICATION": "private_key_jwt"}, r"needs arguments"),
    ({"ALLOWED_ORIGINS": ["https://api.example/v1"]}, r"has more than an origin\. Fix: 'https://api\.example'"),
    ({"ALLOWED_ORIGINS": []}, r"allowed_origins is empty"),
    (
        {"CACHE": "defalt"},
        r"\['CACHE'\]: there is no cache 'defalt' \(did you mean 'default'\?\).*M2M_AUTH_CACHES: 'default'",
    ),
    ({"POLICY": {"LEESE": 3}}, r"\['POLICY'\]: unknown key 'leese' \(did you mean 'lease'\?\)"),
    ({"POLICY": {"lease": 3}}, r"policy\.lease=3 s must be longer than policy\.mint_deadline"),
    ({"POLICY": 3}, r"\['POLICY'\] must be a dict, not int"),
    ({"BUDGET": {"per_year": 3}}, r"\['BUDGET'\]: unknown key 'per_year'.*Known: per_month, per_hour, reserve"),
    ({"BUDGET": {"per_month": 0}}, r"budget\.per_month=0 must be a whole number"),
]
AROUND: list[tuple[dict[str, Any], str]] = [
    ({"M2M_AUTH_CLIENTS": [CLIENT]}, r"^M2M_AUTH_CLIENTS must be a dict, not list"),
    ({"M2M_AUTH_CLIENTS": {"billing": "secret"}}, r"^M2M_AUTH_CLIENTS\['billing'\] must be a dict, not str"),
    ({"M2M_AUTH_CLIENTS": {"bil\x1bling": CLIENT}}, r"^M2M_AUTH_CLIENTS: alias 'bil\\x1bling' must be"),
    ({"M2M_AUTH_CLIENTS": {7: CLIENT}}, r"^M2M_AUTH_CLIENTS: alias 7 must be"),
    ({"M2M_AUTH_CLIENT": {"billing": CLIENT}, "M2M_AUTH_CLIENTS": None}, r"^unknown setting M2M_AUTH_CLIENT\. Known: "),
    ({"M2M_AUTH_ENCRYPTION_KEY": "k" * 32}, r"^unknown setting M2M_AUTH_ENCRYPTION_KEY\. Known: "),
    ({"M2M_AUTH_ENCRYPTION_KEYS": "too short"}, r"encryption_keys has a key that is shorter than 16 bytes"),
    ({"M2M_AUTH_ENCRYPTION_KEYS": []}, r"encryption_keys is empty"),
    ({"M2M_AUTH_CACHES": "disk:"}, r"^M2M_AUTH_CACHES must be a dict, not str"),
    ({"M2M_AUTH_CACHES": {}}, r"there is no cache 'default'\. Known in M2M_AUTH_CACHES: none"),
    ({"M2M_AUTH_CACHES": {"default": " "}}, r"^M2M_AUTH_CACHES\['default'\] is blank\. Fix"),
    ({"M2M_AUTH_CACHES": {"default": None}}, r"is no cache\. Fix: a URL such as"),
    ({"M2M_AUTH_CACHES": {"default": 7}}, r"is no cache\. Fix: a URL such as"),
    ({"M2M_AUTH_CACHES": {"default": {"BACKEN": "x.Y"}}}, r"unknown key 'BACKEN' \(did you mean 'BACKEND'\?\)"),
    ({"M2M_AUTH_CACHES": {"default": {}}}, r"names no cache, or two"),
    ({"M2M_AUTH_CACHES": {"default": {"BACKEND": "x.Y", "FLASK_CACHING": True}}}, r"names no cache, or two"),
    ({"M2M_AUTH_CACHES": {"default": {"FLASK_CACHING": "yes"}}}, r"has a FLASK_CACHING that is not True"),
    ({"M2M_AUTH_CACHES": {"default": {"FLASK_CACHING": True, "OPTIONS": {}}}}, r"has OPTIONS, which belong to Flask-C"),
    ({"M2M_AUTH_CACHES": {"default": {"BACKEND": "x.Y", "OPTIONS": 7}}}, r"\['OPTIONS'\] must be a dict, not int"),
]


@pytest.mark.parametrize(("wrong", "words"), IN_CLIENT, ids=[str(wrong)[:40] for wrong, _ in IN_CLIENT])
def test_a_mistake_in_a_client(make_app: MakeApp, wrong: dict[str, Any], words: str) -> None:
    """init_app raises, and says of which client it is, what is wrong with it, and the fix."""
    with pytest.raises(ConfigurationError, match=rf"^M2M_AUTH_CLIENTS\['billing'\].*{words}") as raised:
        make_app({**CLIENT, **wrong})
    shown = "".join(traceback.format_exception(raised.value))
    assert "During handling" not in shown


@pytest.mark.parametrize(("wrong", "words"), AROUND, ids=[str(wrong)[:60] for wrong, _ in AROUND])
def test_a_mistake_around_the_clients(wrong: dict[str, Any], words: str) -> None:
    """init_app raises; afterwards the app can be initialised, with the mistake mended."""
    app = Flask("shop")
    app.config.update({"M2M_AUTH_CLIENTS": {"billing": CLIENT}, **wrong})
    with pytest.raises(ConfigurationError, match=words):
        M2M(app)
    for name in wrong:
        del app.config[name]
    app.config["M2M_AUTH_CLIENTS"] = {"billing": CLIENT}
    M2M(app)


def test_a_configuration_that_comes_later(m2m: M2M) -> None:
    """It is read, and its mistakes are raised, at first use; none at all is a mistake then."""
    app = Flask("shop")
    m2m.init_app(app)
    with app.app_context():
        with pytest.raises(ConfigurationError, match=r"<Flask 'shop'> has no M2M_AUTH_CLIENTS\. Fix: app\.config"):
            m2m["billing"]
        app.config["M2M_AUTH_CLIENTS"] = {"billing": {**CLIENT, "SCOPES": "x"}}
        with pytest.raises(ConfigurationError, match="unknown key 'SCOPES'"):
            m2m["billing"]
        app.config["M2M_AUTH_CLIENTS"] = {"billing": CLIENT}
        assert m2m["billing"].alias == "billing"


def test_what_a_client_asks_for(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """Audience, scope, resource and authentication reach the token request; policy and budget reach the source."""
    client = {
        "AUDIENCE": "https://api.example",
        "SCOPE": ["orders:read", "orders:write"],
        "RESOURCE": "https://api.example/orders",
        "CLIENT_AUTHENTICATION": "client_secret_post",
        "POLICY": {"MAX_WAIT": 5},
        "BUDGET": {"per_month": 1, "reserve": 0},
    }
    with make_app(client).app_context():
        source = m2m["billing"].source
        source.token()
        with pytest.raises(MintBudgetExhausted):
            source.renew()
        assert source.status().state == "fresh"
    form = dict(server.requests[0].parameters)
    assert form["audience"] == "https://api.example"
    assert form["scope"] == "orders:read orders:write"
    assert form["resource"] == "https://api.example/orders"
    assert form["client_secret"] == "secret"
    assert server.mints == 1


def test_objects_instead_of_dicts(make_app: MakeApp, m2m: M2M) -> None:
    """A policy, a budget and an authentication may be given as the core's own objects."""
    client = {
        "POLICY": RenewalPolicy(max_wait=5),
        "BUDGET": MintBudget(per_hour=3),
        "CLIENT_AUTHENTICATION": ClientSecretPost(),
        "CLIENT_SECRET": lambda: "secret",
    }
    with make_app(client).app_context():
        assert m2m["billing"].source.token().fingerprint


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


@pytest.mark.parametrize("dot", [".", ":"])
def test_import_paths(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, project: str, dot: str) -> None:
    """A secret's callable and an authentication by path: imported at first use, since modules import the app."""
    app = make_app({"CLIENT_SECRET": f"{project}{dot}secret", "CLIENT_AUTHENTICATION": f"{project}{dot}post"})
    assert project not in sys.modules
    with app.app_context():
        m2m["billing"].source.token()
    assert sys.modules[project].asked == [1]
    assert dict(server.requests[0].parameters)["client_secret"] == "secret"


@pytest.mark.parametrize("name", ["missing", "missing.fetch", "not_callable"])
def test_an_import_path_that_leads_nowhere(make_app: MakeApp, m2m: M2M, project: str, name: str) -> None:
    """It is named at first use, with its client and key; the path itself stays out of it, it may be a secret."""
    with make_app({"CLIENT_SECRET": f"{project}.{name}"}).app_context():
        with pytest.raises(ConfigurationError, match=r"\['billing'\]\['CLIENT_SECRET'\].*(import|callable)") as raised:
            m2m["billing"].source  # noqa: B018
        assert "missing" not in str(raised.value)
        assert project not in str(raised.value)


def test_a_secret_with_dots_is_a_secret(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """Only a path whose first package is there is taken for one."""
    server.clients["client"] = "no_such_package.abc:def"
    with make_app({"CLIENT_SECRET": "no_such_package.abc:def"}).app_context():
        assert m2m["billing"].source.token().fingerprint
