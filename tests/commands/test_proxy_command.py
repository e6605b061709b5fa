"""The command ``m2m-auth``: what it prints where, its exit codes, and a proxy that runs until it is told to stop."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from m2m_auth.commands.main import main
from m2m_auth.proxy import load
from m2m_auth.testing import FakeAuthorizationServer

Run = Callable[..., "Done"]
SECRET = "s3cr3t-of-the-proxy"
TOKEN = "0perator-t0ken-of-the-tests"
CONFIG = """
pepper = "pepper-of-the-tests-32-bytes-long"
cache = "disk:{folder}/cache"
operator_token = "{operator}"

[upstreams.main]
token_endpoint = "{endpoint}"
client_id = "proxy"
client_secret = "{secret}"

[vendors.acme]
audiences = ["https://api.example"]
scopes = ["orders:read", "orders:write"]
mints_per_hour = 4
mints_per_month = 800
"""


class Done(tuple[int, str, str]):
    """An exit code, and what was written to stdout and stderr."""

    @property
    def code(self) -> int:
        """The exit code."""
        return self[0]

    @property
    def out(self) -> str:
        """What was asked for."""
        return self[1]

    @property
    def err(self) -> str:
        """Everything else."""
        return self[2]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process."""

    def command(*words: object) -> Done:
        try:
            code = main([str(word) for word in words])
        except SystemExit as done:
            code = done.code if isinstance(done.code, int) else 1
        return Done((code, *capsys.readouterr()))

    return command


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose authorization server nobody will ask."""
    return written(tmp_path, "https://tenant.example/oauth/token")


def written(folder: Path, endpoint: str) -> Path:
    """A configuration with this token endpoint."""
    file = folder / "proxy.toml"
    file.write_text(CONFIG.format(folder=folder, endpoint=endpoint, operator=TOKEN, secret=SECRET))
    return file


# init


def test_init(run: Run, tmp_path: Path) -> None:
    """It writes a configuration that is valid as it is, has a pepper of its own, and is for nobody else's eyes."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    for file in (first, second):
        done = run("proxy", "--config", file, "init")
        assert (done.code, done.err) == (0, "")
        assert str(file) in done.out
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert run("proxy", "--config", file, "check").code == 0
    peppers = [load(file).pepper.reveal() for file in (first, second)]  # type: ignore[union-attr]
    assert peppers[0] != peppers[1]
    assert min(map(len, peppers)) >= 40
    assert load(first).operator_token is None, "what only the operator should see is off until it is switched on"


def test_init_with_what_its_comments_offer(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines that are commented out are right as they are, too."""
    file = tmp_path / "proxy.toml"
    run("proxy", "init", "--config", file)
    lines = [line.removeprefix("# ") if " = " in line else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(line for line in lines if not line.startswith("Any secret")))
    monkeypatch.setenv("TOKEN_PROXY_CLIENT_SECRET", SECRET)
    done = run("proxy", "--config", file, "check")
    assert done.code == 0, done.err
    assert "as client token-proxy" in done.out
    assert "on: /operator and /metrics" in done.out


def test_init_leaves_a_file_alone(run: Run, config: Path) -> None:
    """What is there, with a pepper that cannot be had again, is not written over."""
    before = config.read_text()
    done = run("proxy", "--config", config, "init")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"m2m-auth: {config} exists already, and is left as it is\n"
    assert config.read_text() == before


# check


def test_check(run: Run, config: Path) -> None:
    """It prints what it understood, what is still missing, and no secret."""
    done = run("proxy", "check", "--config", config)
    assert (done.code, done.err) == (0, "")
    lines = dict(line.split("  ", 1) for line in done.out.splitlines())
    found = {name: words.strip() for name, words in lines.items()}
    assert found["token endpoint"] == "/oauth/token"
    assert "DiskTokenCache" in found["cache"]
    assert found["operator's page"] == "on: /operator and /metrics"
    assert found["upstream main"] == "https://tenant.example/oauth/token, as client proxy"
    assert found["vendor acme"] == (
        "at main; audiences https://api.example; scopes orders:read orders:write; "
        f"4 mints an hour and 800 mints a month; NO SECRET YET. Fix: m2m-auth proxy --config {config} add-vendor acme"
    )
    assert not [secret for secret in (SECRET, TOKEN, "pepper-of") if secret in done.out]


def test_check_says_where_the_operator_looks(run: Run, config: Path) -> None:
    """The paths as they are configured."""
    config.write_text('operator_path = "/in/page"\nmetrics_path = "/in/metrics"\n' + config.read_text())
    assert "on: /in/page and /in/metrics" in run("proxy", "check", "--config", config).out


def test_the_configuration_is_found(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before or after the inner command, in the environment, or as proxy.toml here."""
    everywhere = run("proxy", "check", "--config", config).out
    assert everywhere.startswith("token endpoint")
    assert run("proxy", "--config", config, "check").out == everywhere
    monkeypatch.setenv("M2M_AUTH_PROXY_CONFIG", str(config))
    assert run("proxy", "check").out == everywhere
    monkeypatch.delenv("M2M_AUTH_PROXY_CONFIG")
    monkeypatch.chdir(config.parent)
    assert run("proxy", "check").out.splitlines()[0] == everywhere.splitlines()[0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "mints_per_month = 800",
            "mints_per_mont = 800",
            "line 15: unknown key 'vendors.acme.mints_per_mont' (did you",
        ),
        ("mints_per_hour = 4", 'mints_per_hour = "4"', "line 14: vendors.acme.mints_per_hour must be a whole number"),
        ('pepper = "', 'pepper = ""  # "', "line 2: pepper"),
        ("[upstreams.main]", "[upstreams.main", "line 6"),
        ("[upstreams.main]", "[upstreams.other]\nx = 1\n[upstreams.main]", "line 7: unknown key 'upstreams.other.x'"),
    ],
)
@pytest.mark.parametrize("command", [["check"], ["add-vendor", "hooli"], []], ids=["check", "add-vendor", "run"])
def test_a_configuration_error(run: Run, config: Path, old: str, new: str, words: str, command: list[str]) -> None:
    """Exit code 2, and one line that names the file and the line in it; nothing is run or written."""
    config.write_text(config.read_text().replace(old, new))
    done = run("proxy", "--config", config, *command)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"m2m-auth: {config}")
    assert words in done.err
    assert SECRET not in done.err
    assert done.err.count("\n") == 1
    assert not (config.parent / "vendors.json").exists()


@pytest.mark.parametrize("command", [["check"], ["add-vendor", "hooli"], []], ids=["check", "add-vendor", "run"])
def test_no_configuration(run: Run, tmp_path: Path, command: list[str]) -> None:
    """Exit code 2, and which file was looked for."""
    done = run("proxy", "--config", tmp_path / "nowhere.toml", *command)
    assert (done.code, done.out) == (2, "")
    assert f"{tmp_path}/nowhere.toml: No such file or directory" in done.err


@pytest.mark.parametrize("token", ["fifteen-letters", "two words and more", "\u00e9" * 16])
@pytest.mark.parametrize("command", [["check"], []], ids=["check", "run"])
def test_an_operator_token_that_is_none(run: Run, config: Path, token: str, command: list[str]) -> None:
    """One that could be guessed, or fits into no header, is refused, and not shown."""
    config.write_text(config.read_text().replace(TOKEN, token))
    done = run("proxy", "--config", config, *command)
    assert (done.code, done.out) == (2, "")
    assert "operator_token must have 16 characters or more" in done.err
    assert token not in done.err


# add-vendor


def test_add_vendor(run: Run, config: Path) -> None:
    """The secret is on stdout, once, and nowhere else; limits are appended to the configuration."""
    before = config.read_text()
    words = ["--audience", "https://a", "--audience", "https://b", "--scope", "read", "--mints-per-hour", "3"]
    done = run(
        "proxy", "--config", config, "add-vendor", "hooli", *words, "--mints-per-month", "50", "--upstream", "main"
    )
    assert done.code == 0
    client_id, secret = (line.partition(": ")[2] for line in done.out.splitlines())
    assert client_id == "hooli"
    assert len(secret) >= 40
    assert secret not in done.err
    for file in config.parent.iterdir():
        assert not file.is_file() or secret not in file.read_text()
    assert config.read_text() == (
        before + '\n[vendors."hooli"]\nupstream = "main"\nmints_per_hour = 3\nmints_per_month = 50\n'
    )
    vendor = load(config).vendors["hooli"]
    assert (vendor.audiences, vendor.scopes) == (("https://a", "https://b"), ("read",))
    assert (vendor.mints_per_hour, vendor.mints_per_month, len(vendor.verifiers)) == (3, 50, 1)


def test_a_vendors_next_secret(run: Run, config: Path) -> None:
    """For a vendor that is configured already: another secret, and not a word is changed in the configuration."""
    before = config.read_text()
    secrets = {run("proxy", "--config", config, "add-vendor", "acme").out for _ in range(2)}
    assert len(secrets) == 2
    assert config.read_text() == before
    assert len(load(config).vendors["acme"].verifiers) == 2
    done = run("proxy", "--config", config, "add-vendor", "acme", "--mints-per-hour", "9")
    assert (done.code, done.out) == (2, "")
    assert "has [vendors.acme] already. Fix: change mints_per_hour there" in done.err
    assert len(load(config).vendors["acme"].verifiers) == 2


@pytest.mark.parametrize("name", ['"quoted"', "back\\slash", "dotted.name", "[x]", "a=b#c"])
def test_a_vendors_name_in_the_configuration(run: Run, config: Path, name: str) -> None:
    """Whatever a client id may be, its table is its own."""
    assert run("proxy", "--config", config, "add-vendor", name, "--mints-per-hour", "2").code == 0
    assert load(config).vendors[name].mints_per_hour == 2
    assert set(load(config).vendors) == {"acme", name}


@pytest.mark.parametrize("name", ["", "two words", "a:b", "\u00e9", "x" * 201])
def test_a_name_that_cannot_be_one(run: Run, config: Path, name: str) -> None:
    """Refused, and nothing is written."""
    before = config.read_text()
    done = run("proxy", "--config", config, "add-vendor", name, "--mints-per-hour", "2")
    assert (done.code, done.out) == (2, "")
    assert config.read_text() == before
    assert [file.name for file in config.parent.iterdir()] == ["proxy.toml"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--upstream", "mian"], "did you mean 'main'"),
        (["--upstream", "main", "--scope", "two words"], "one scope per string"),
        (["--upstream", "kept"], "upstreams.kept has no client_id"),
        ([], "upstream='' is not known"),
    ],
)
def test_a_vendor_that_makes_no_sense(run: Run, config: Path, words: list[str], why: str) -> None:
    """Said before anything is written: the proxy starts as it did."""
    config.write_text(
        config.read_text() + 'upstream = "main"\n[upstreams.kept]\ntoken_endpoint = "https://b.example/token"\n'
    )
    before = config.read_text()
    done = run("proxy", "add-vendor", "hooli", "--config", config, *words)
    assert (done.code, done.out) == (2, "")
    assert why in done.err
    assert config.read_text() == before
    assert not (config.parent / "vendors.json").exists()
    assert run("proxy", "check", "--config", config).code == 0


def test_vendors_that_keep_their_own_credentials(run: Run, config: Path) -> None:
    """There the proxy has no secret to give, and says what to do instead."""
    text = config.read_text().replace('client_id = "proxy"', "").replace(f'client_secret = "{SECRET}"', "")
    config.write_text(text)
    done = run("proxy", "--config", config, "add-vendor", "hooli")
    assert (done.code, done.out) == (2, "")
    assert "no upstream has a client_id" in done.err
    assert [file.name for file in config.parent.iterdir()] == ["proxy.toml"]


# the command line


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["prox"],
        ["proxy", "start"],
        ["proxy", "--port", "65536"],
        ["proxy", "--port", "http"],
        ["proxy", "--threads", "0"],
        ["proxy", "add-vendor"],
        ["proxy", "add-vendor", "x", "--mints-per-hour", "0"],
        ["proxy", "--conf", "x", "--nonsense"],
    ],
)
def test_wrong_usage(run: Run, words: list[str]) -> None:
    """Exit code 2 with the usage, on stderr."""
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: m2m-auth")


@pytest.mark.parametrize("words", [["--help"], ["proxy", "--help"], ["proxy", "add-vendor", "--help"], ["--version"]])
def test_asked_for_help(run: Run, words: list[str]) -> None:
    """Exit code 0, on stdout."""
    done = run(*words)
    assert (done.code, done.err) == (0, "")
    assert "m2m-auth" in done.out


@pytest.mark.parametrize("missing", ["waitress"])
def test_without_the_extra(run: Run, config: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install; the commands that need no server go on working."""
    monkeypatch.setitem(sys.modules, missing, None)
    done = run("proxy", "--config", config)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"m2m-auth: m2m-auth proxy needs the package '{missing}', which is not installed. "
        "Fix: pip install 'm2m-auth[proxy]'\n"
    )
    assert run("proxy", "--config", config, "check").code == 0


# a proxy that runs


class Running:
    """A proxy in a process of its own: ``python -m m2m_auth.commands proxy --port 0``."""

    def __init__(self, config: Path, *words: str) -> None:
        command = [
            sys.executable,
            "-X",
            "dev",
            "-W",
            "error",
            "-m",
            "m2m_auth.commands",
            "proxy",
            "--config",
            str(config),
        ]
        self.process = subprocess.Popen(
            [*command, "--port", "0", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        if not self.line:
            raise RuntimeError(f"it did not start: {self.process.communicate()[1]}")
        self.port = int(self.line.partition("//127.0.0.1:")[2].partition("/")[0] or 0)

    def call(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, dict[str, str], str]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()

    def token(self, client_id: str, secret: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """A token request."""
        basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        form = "grant_type=client_credentials&audience=https%3A%2F%2Fapi.example"
        kind = "application/x-www-form-urlencoded"
        return self.call("POST", "/oauth/token", form, Authorization=f"Basic {basic}", Content_Type=kind, **headers)

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; the exit code, and what was written to stderr."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=60)
        return self.process.returncode, err


@pytest.fixture
def upstream() -> Iterator[FakeAuthorizationServer]:
    """An authorization server that knows the proxy."""
    with FakeAuthorizationServer(clients={"proxy": SECRET}) as server:
        yield server


@pytest.fixture
def start(run: Run, tmp_path: Path, upstream: FakeAuthorizationServer) -> Iterator[Callable[..., Any]]:
    """Starts a proxy with the vendor acme; returns it, and acme's secret."""
    started: list[Running] = []

    def proxy(*words: str) -> tuple[Running, str]:
        config = written(tmp_path, upstream.token_endpoint)
        secret = run("proxy", "--config", config, "add-vendor", "acme").out.split()[-1]
        started.append(Running(config, *words))
        return started[-1], secret

    yield proxy
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def test_it_runs(start: Callable[..., tuple[Running, str]], upstream: FakeAuthorizationServer) -> None:
    """The first line tells the URL; vendors get tokens, of one mint; the operator sees it; strangers see nothing."""
    proxy, secret = start()
    assert proxy.line == f"http://127.0.0.1:{proxy.port}/oauth/token for 1 vendor\n"
    answers = [proxy.token("acme", secret) for _ in range(3)]
    assert [status for status, _, _ in answers] == [200] * 3
    assert len({json.loads(body)["access_token"] for _, _, body in answers}) == 1
    assert upstream.mints == 1
    assert proxy.token("acme", "wrong")[0] == 401
    assert proxy.call("GET", "/operator")[0] == 401
    status, headers, page = proxy.call("GET", "/operator", Authorization=f"Bearer {TOKEN}")
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert "Server" not in headers
    assert '<th scope="row">acme</th>' in page
    metrics = proxy.call("GET", "/metrics", Authorization=f"Bearer {TOKEN}")[2]
    assert 'm2m_auth_proxy_outcomes_total{outcome="minted",vendor="acme"} 1.0' in metrics
    assert proxy.call("GET", "/elsewhere")[0] == 404
    code, err = proxy.end(signal.SIGTERM)
    assert (code, "Traceback" in err) == (0, False), err
    assert secret not in err
    assert SECRET not in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly(
    start: Callable[..., tuple[Running, str]], upstream: FakeAuthorizationServer, number: int
) -> None:
    """Ctrl-C and SIGTERM end it with exit code 0, after the request that is under way has had its answer."""
    proxy, secret = start("--threads", "2")
    upstream.latency = 1.0
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(proxy.token, "acme", secret)
        upstream.wait_for_token_requests(1, timeout=20)
        code, err = proxy.end(number)
        assert answer.result(60)[0] == 200
    assert (code, "Traceback" in err, "Warning" in err) == (0, False, False), err
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", proxy.port), timeout=10):
        pass


def test_the_port_is_taken(run: Run, config: Path) -> None:
    """Exit code 1, and which address it was."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("proxy", "--config", config, "--port", port)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"m2m-auth: cannot listen on 127.0.0.1 port {port}: {os.strerror(98)}\n"
