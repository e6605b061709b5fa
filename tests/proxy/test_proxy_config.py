"""The proxy's configuration: the meaning of a file, and an error with its line for every mistake."""

from __future__ import annotations

import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from proxy_steps import basic, post, running

from m2m_auth import ConfigurationError
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.proxy import ProxyConfig, TokenProxy, UpstreamConfig, VendorConfig, add_vendor, app, load, remove_vendor
from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.values import as_dict, replace

GOOD = """\
pepper = { file = "pepper" }
cache = "memory:"
lifetime_cap = 3600
min_validity = 30
max_entries = 500
trusted_proxies = 1
encryption_keys = [{ env = "M2M_TEST_SEAL" }, "another key of at least 16 bytes"]
operator_token = "the-operators-own-token"

[upstreams.main]
token_endpoint = "https://tenant.example/oauth/token"
client_id = "proxy"
client_secret = { env = "M2M_TEST_SECRET" }

[upstreams.kept]
token_endpoint = "https://other.example/oauth/token"
client_authentication = "client_secret_post"

[vendors.acme]
upstream = "main"
audiences = ["https://api.example.com"]
scopes = ["read", "write"]
default_scopes = ["read"]
mints_per_hour = 10
mints_per_month = 1000
requests_per_minute = 600
extra_parameters = { organization = ["one", "two"] }

[vendors."b.o.l.t"]
upstream = "kept"
"""
ENVIRONMENT = {"M2M_TEST_SECRET": "the upstream's secret", "M2M_TEST_SEAL": "a key of at least 16 bytes"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a pepper in it."""
    (tmp_path / "pepper").write_text("a pepper of more than 16 bytes\n")
    (tmp_path / "bytes").write_bytes(b"secret \xff")
    return tmp_path


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that the file names."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def write(folder: Path, text: str) -> Path:
    """The configuration file."""
    file = folder / "proxy.toml"
    file.write_text(text)
    return file


@pytest.mark.usefixtures("environment")
def test_a_whole_file(folder: Path) -> None:
    """Every key, with secrets from files and the environment; none of them is shown."""
    config = load(write(folder, GOOD))
    acme = config.vendors["acme"]
    assert config.upstreams["main"].client_secret.reveal() == "the upstream's secret"  # type: ignore[union-attr]
    assert config.pepper.reveal() == "a pepper of more than 16 bytes"  # type: ignore[union-attr]
    assert (config.lifetime_cap, config.min_validity, config.max_entries, config.trusted_proxies) == (3600, 30, 500, 1)
    assert (acme.audiences, acme.default_scopes, acme.mints_per_month) == (
        ("https://api.example.com",),
        ("read",),
        1000,
    )
    assert acme.extra_parameters == {"organization": ("one", "two")}
    assert config.vendors["b.o.l.t"].upstream == "kept"
    for secret in (*ENVIRONMENT.values(), "a pepper of more", "another key", "operators-own"):
        assert secret not in repr(config)
        assert secret not in f"{[*as_dict(config).values()]!r}"


@pytest.mark.usefixtures("environment")
def test_a_mistake_is_reported_with_its_line(folder: Path) -> None:
    """File, line, key and fix; and never a secret."""
    for old, new, line, words in [
        ("max_entries", "max_entrys", 5, ["'max_entrys'", "did you mean 'max_entries'"]),
        (
            "mints_per_month",
            "mints_per_mouth",
            25,
            ["'vendors.acme.mints_per_mouth'", "did you mean 'mints_per_month'"],
        ),
        ("client_secret =", "client_secrets =", 13, ["did you mean 'client_secret'"]),
        ("mints_per_hour = 10", 'mints_per_hour = "10"', 24, ["vendors.acme.mints_per_hour", "whole number", "str"]),
        ("mints_per_hour = 10", "mints_per_hour = 0", 24, ["vendors.acme.mints_per_hour=0", "at least 1"]),
        ("trusted_proxies = 1", "trusted_proxies = true", 6, ["trusted_proxies", "bool"]),
        ("trusted_proxies = 1", "trusted_proxies = -1", 6, ["trusted_proxies=-1", "from 0 to"]),
        ("max_entries = 500", "max_entries = ", 5, ["line 5"]),
        ("lifetime_cap = 3600", "lifetime_cap = 30", 4, ["min_validity=30", "lifetime_cap=30"]),
        ('scopes = ["read", "write"]', 'scopes = "read write"', 22, ["vendors.acme.scopes", "list of strings"]),
        ('scopes = ["read", "write"]', 'scopes = ["read write"]', 22, ["one scope per string"]),
        ('default_scopes = ["read"]', 'default_scopes = ["admin"]', 23, ["'admin'", "not among its scopes"]),
        ('upstream = "main"', 'upstream = "mian"', 20, ["'mian'", "did you mean 'main'"]),
        ("https://tenant", "http://tenant", 10, ["upstreams.main", "plain http"]),
        ("M2M_TEST_SECRET", "M2M_TEST_UNSET", 13, ["client_secret", "M2M_TEST_UNSET is not set"]),
        ('file = "pepper"', 'file = "salt"', 1, ["pepper", "salt", "No such file"]),
        ('{ file = "pepper" }', '"short"', 1, ["pepper is shorter than 16 bytes", "Fix:"]),
        ('pepper = { file = "pepper" }', "", None, ["pepper is missing", "Fix:"]),
        ('{ env = "M2M_TEST_SECRET" }', '" "', 10, ["client_secret is blank"]),
        ('{ env = "M2M_TEST_SECRET" }', '"ends\\n"', 10, ["client_secret begins or ends with white space"]),
        ('{ env = "M2M_TEST_SECRET" }', '{ file = "bytes" }', 10, ["client_secret has characters that are not UTF-8"]),
        ('client_id = "proxy"', "", 10, ["client_secret has no client_id"]),
        ('client_secret = { env = "M2M_TEST_SECRET" }', "", 10, ["client_secret is missing"]),
        ('token_endpoint = "https://other.example/oauth/token"', "", 15, ["upstreams.kept lacks token_endpoint"]),
        ('cache = "memory:"', 'cache = "rediss:memory"', 2, ["cache"]),
        ('cache = "memory:"', 'cache = "rides://x"', 2, ["did you mean 'redis'"]),
        ("the-operators-own-token", "too-short", 8, ["operator_token must have 16 characters", "Fix:"]),
        ("min_validity = 30", 'operator_path = "/oauth/token"', 4, ["operator_path='/oauth/token' is path as well"]),
        ("min_validity = 30", 'metrics_path = "/operator"', 4, ["metrics_path='/operator' is operator_path as well"]),
        ("min_validity = 30", 'metrics_path = "metrics"', 4, ["metrics_path='metrics' must begin with a slash"]),
        ("min_validity = 30", 'path = "/token?x"', 4, ["path='/token?x'", "none of % ? #"]),
        ("another key of at least 16 bytes", "short", 7, ["encryption_keys", "shorter than 16 bytes"]),
        ('"client_secret_post"', '"client_secret_pots"', 15, ["client_secret_post"]),
        ('scopes = ["read", "write"]', 'audiences = ["x"]', 22, ["line 22"]),
        ("{ organization =", "{ client_secret =", 27, ["extra_parameters", "'client_secret'", "its own option"]),
        ('upstream = "kept"', 'upstream = "kep"', 30, ["vendors.b.o.l.t", "did you mean 'kept'"]),
        (
            'audiences = ["https://api.example.com"]',
            'audiences = [" x "]',
            21,
            ["vendors.acme.audiences", "white space"],
        ),
    ]:
        text = GOOD.replace(old, new, 1)
        assert text != GOOD
        with pytest.raises(ConfigurationError) as error:
            TokenProxy(load(write(folder, text)))
        message = str(error.value)
        assert str(folder / "proxy.toml") in message
        if line is not None:
            assert f"line {line}" in message
        assert [word for word in words if word not in message] == []
        for secret in ENVIRONMENT.values():
            assert secret not in message


def test_no_file_and_no_toml(tmp_path: Path) -> None:
    """A missing file and a file that is not TOML are errors that name the file."""
    with pytest.raises(ConfigurationError, match=r"absent\.toml: No such file"):
        load(tmp_path / "absent.toml")
    (tmp_path / "latin.toml").write_bytes(b"path = '\xff'")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load(tmp_path / "latin.toml")


def config_with(folder: Path, server: FakeAuthorizationServer) -> Path:
    """A configuration for this authorization server; its vendors are in the vendors file."""
    return write(
        folder,
        f"""
        pepper = {{ file = "pepper" }}
        cache = "memory:"
        [upstreams.main]
        token_endpoint = "{server.token_endpoint}"
        client_id = "client"
        client_secret = "secret"
        [vendors.acme]
        scopes = ["read"]
        """,
    )


@pytest.mark.loopback
def test_a_vendor_is_added(folder: Path) -> None:
    """The secret is returned once and works; the file has only a verifier and is readable by its owner alone."""
    with FakeAuthorizationServer() as server:
        file = config_with(folder, server)
        secret = add_vendor(file, "acme")
        other = add_vendor(file, "bolt", audiences=["https://api.example.com"], scopes=["write"])
        written = folder / "vendors.json"
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
        assert secret not in written.read_text()
        assert [path.name for path in folder.iterdir() if path.suffix == ".json"] == ["vendors.json"]
        with running(load(file)) as (_, ask):
            assert ask.token("acme", secret, None).json["scope"] == "read"
            assert ask.token("bolt", other).json["scope"] == "write"
            assert ask.token("acme", other, None).status == 401


def test_vendors_are_added_at_the_same_time(folder: Path) -> None:
    """Two processes that add vendors at once lose none of them."""
    file = write(folder, 'pepper = { file = "pepper" }')
    names = [f"vendor{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda name: add_vendor(file, name), names))) == 20
    assert sorted(json.loads((folder / "vendors.json").read_text())["vendors"]) == sorted(names)


@pytest.mark.loopback
def test_a_second_secret_and_a_third(folder: Path) -> None:
    """A new secret leaves only the previous one good; a removed vendor has none."""
    with FakeAuthorizationServer() as server:
        file = config_with(folder, server)
        given = [add_vendor(file, "acme") for _ in range(3)]
        with running(load(file)) as (_, ask):
            assert [ask.token("acme", secret, None).status for secret in given] == [401, 200, 200]
        assert remove_vendor(file, "acme")
        assert not remove_vendor(file, "acme")
        with running(load(file)) as (_, ask):
            assert [ask.token("acme", secret, None).status for secret in given] == [401] * 3


def test_a_vendor_s_name(folder: Path) -> None:
    """A name that cannot be a client id is refused, and nothing is written."""
    for name in ["", "with space", "with:colon", "ümlaut", "x" * 201, "line\n"]:
        file = write(folder, 'pepper = { file = "pepper" }')
        with pytest.raises(ConfigurationError, match="client id"):
            add_vendor(file, name)
        assert not (folder / "vendors.json").exists()


def test_an_invalid_vendors_file(folder: Path) -> None:
    """Another pepper, another format or missing permissions are errors at the start."""
    file = write(folder, 'pepper = { file = "pepper" }')
    add_vendor(file, "acme")
    (folder / "pepper").write_text("another pepper of 16 bytes and more")
    with pytest.raises(ConfigurationError, match=r"vendors\.json was written with another pepper"):
        add_vendor(file, "bolt")
    for wrong in ("[]", "{}", "nonsense", json.dumps({"pepper": 1, "vendors": {"a": 1}})):
        (folder / "vendors.json").write_text(wrong)
        with pytest.raises(ConfigurationError, match=r"vendors\.json"):
            add_vendor(file, "bolt")


def test_a_folder_that_cannot_be_written(folder: Path) -> None:
    """add-vendor says why, and leaves nothing behind."""
    file = write(folder, 'pepper = { file = "pepper" }\nvendors_file = "absent/vendors.json"')
    with pytest.raises(ConfigurationError, match=r"absent/vendors\.json: No such file"):
        add_vendor(file, "acme")
    assert sorted(os.listdir(folder)) == ["bytes", "pepper", "proxy.toml"]


TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("audiences", {"audiences": "https://api.example.com"}),
    ("scopes", {"scopes": "read"}),
    ("default_scopes", {"scopes": ("r",), "default_scopes": "r"}),
    ("resources", {"resources": "https://api.example.com"}),
    ("extra_parameters", {"extra_parameters": {"organization": "acme"}}),
    ("scopes", {"scopes": (1,)}),
    ("verifiers", {"verifiers": None}),
]
"""A string instead of several: "https://api" is in "https://api.example.com", and would be allowed."""


def test_a_configuration_without_a_file() -> None:
    """A configuration built in Python gets the same checks."""
    upstream = UpstreamConfig(token_endpoint="https://tenant.example/oauth/token", client_id="proxy", client_secret="s")
    good = ProxyConfig(
        upstreams={"main": upstream},
        vendors={"acme": VendorConfig()},
        pepper="0123456789abcdef",
        cache=MemoryTokenCache(),
    )
    assert good.checked().vendors["acme"].upstream == "main"
    for wrong, words in (
        (replace(good, pepper="short"), "pepper"),
        (replace(good, path="token"), "path='token'"),
        (replace(good, metrics_path="/oauth/token"), "metrics_path='/oauth/token' is path as well"),
        (replace(good, trusted_proxies=1.5), "trusted_proxies=1.5 must be a whole number"),  # type: ignore[arg-type]
        *((replace(good, vendors={"acme": VendorConfig(**wrong)}), f"vendors.acme.{key}") for key, wrong in TEXTS),
        (replace(good, upstreams={}), "upstreams is empty"),
        (replace(good, upstreams={"a": upstream, "b": upstream}), "vendors.acme.upstream=''"),
        (replace(good, vendors={"a b": VendorConfig()}), "vendors.a b"),
        (replace(good, upstreams={"main": replace(upstream, encoding="xml")}), "encoding='xml'"),
        (replace(good, vendors={"acme": VendorConfig(verifiers=("md5:abc",))}), "vendors.acme.verifiers"),
    ):
        with pytest.raises(ConfigurationError) as error:
            wrong.checked()
        assert words in str(error.value)


@pytest.mark.loopback
def test_the_application(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``app()`` is what gunicorn calls: the file by argument or environment; the body's cap is the configuration's."""
    with FakeAuthorizationServer() as server:
        file = config_with(folder, server)
        secret = add_vendor(file, "acme")
        monkeypatch.setenv("M2M_AUTH_PROXY_CONFIG", str(file))
        statuses: list[str] = []
        body = b"grant_type=client_credentials"
        environ = {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/oauth/token",
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "HTTP_AUTHORIZATION": basic("acme", secret)["Authorization"],
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
        }
        for application in (app(), app(file)):
            (folder / "body").write_bytes(body)
            with (folder / "body").open("rb") as stream:
                length = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": stream}
                application({**environ, **length}, lambda status, headers: statuses.append(status))
            with (folder / "body").open("rb") as stream:
                length = {"CONTENT_LENGTH": "8193", "wsgi.input": stream}
                application({**environ, **length}, lambda status, headers: statuses.append(status))
        assert [status[:3] for status in statuses] == ["200", "413", "200", "413"]


def test_other_paths(folder: Path) -> None:
    """The operator's page and the metrics are at the configured paths only."""
    file = write(
        folder, GOOD.replace("trusted_proxies = 1", 'operator_path = "/in/page"\nmetrics_path = "/in/metrics"')
    )
    file.write_text(
        file.read_text().replace('{ env = "M2M_TEST_SEAL" }, ', "").replace('{ env = "M2M_TEST_SECRET" }', '"s"')
    )
    application, statuses = app(file), dict[str, str]()
    for path in ("/in/page", "/in/metrics", "/operator", "/metrics"):
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": path, "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http"}
        application(environ, lambda status, headers, path=path: statuses.update({path: status[:3]}))
    assert statuses == {"/in/page": "401", "/in/metrics": "401", "/operator": "404", "/metrics": "404"}


def test_a_request_for_another_path_is_not_read() -> None:
    """A request for another path is a 404 without parsing its body."""
    upstream = UpstreamConfig(token_endpoint="https://tenant.example/oauth/token", client_id="proxy", client_secret="s")
    config = ProxyConfig(upstreams={"main": upstream}, vendors={}, pepper="0123456789abcdef", cache=MemoryTokenCache())
    proxy = TokenProxy(config, transport=lambda _: None)
    assert proxy.answer(post("/x", {}, b"{")).status == 404
