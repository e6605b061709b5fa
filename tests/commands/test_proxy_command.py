"""The command ``m2m-auth proxy`` in this process: its output, its exit codes, and the files that it writes."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_support import SECRET, TOKEN, Done, exit_code, written

from m2m_auth.proxy import load

Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in this process."""
    return lambda *words: Done(exit_code(*words), *capsys.readouterr())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration; no request is sent to its authorization server."""
    return written(tmp_path, "https://tenant.example/oauth/token")


# init


def test_init(run: Run, tmp_path: Path) -> None:
    """It writes a valid configuration with a new pepper, which only its owner can read."""
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
    assert load(first).operator_token is None, "the operator's page is off by default"


def test_init_with_its_comments_switched_on(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines that are commented out are valid as well."""
    file = tmp_path / "proxy.toml"
    run("proxy", "init", "--config", file)
    lines = [line.removeprefix("# ") if " = " in line else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(line for line in lines if not line.startswith("A secret is")))
    monkeypatch.setenv("TOKEN_PROXY_CLIENT_SECRET", SECRET)
    done = run("proxy", "--config", file, "check")
    assert done.code == 0, done.err
    assert "as client token-proxy" in done.out
    assert "on: /operator and /metrics" in done.out


def test_init_does_not_overwrite(run: Run, config: Path) -> None:
    """An existing file, whose pepper cannot be restored, is not overwritten."""
    before = config.read_text()
    done = run("proxy", "--config", config, "init")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"m2m-auth: {config} exists already, and was not changed. Fix: --config with another name\n"
    assert config.read_text() == before


# check


def test_check(run: Run, config: Path) -> None:
    """It prints what the configuration says, what is missing, and no secret."""
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


def test_check_shows_the_operator_s_paths(run: Run, config: Path) -> None:
    """The paths of the operator's page and the metrics are the configured ones."""
    config.write_text('operator_path = "/in/page"\nmetrics_path = "/in/metrics"\n' + config.read_text())
    assert "on: /in/page and /in/metrics" in run("proxy", "check", "--config", config).out


def test_the_configuration_is_found(run: Run, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--config`` before or after the inner command, the environment variable, or proxy.toml in the folder."""
    expected = run("proxy", "check", "--config", config).out
    assert expected.startswith("token endpoint")
    assert run("proxy", "--config", config, "check").out == expected
    monkeypatch.setenv("M2M_AUTH_PROXY_CONFIG", str(config))
    assert run("proxy", "check").out == expected
    monkeypatch.delenv("M2M_AUTH_PROXY_CONFIG")
    monkeypatch.chdir(config.parent)
    assert run("proxy", "check").out.splitlines()[0] == expected.splitlines()[0]


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
    """A wrong configuration is exit code 2 and one line with file and line number; nothing is run or written."""
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
    """A missing configuration is exit code 2 with the file's name."""
    done = run("proxy", "--config", tmp_path / "nowhere.toml", *command)
    assert (done.code, done.out) == (2, "")
    assert f"{tmp_path}/nowhere.toml: No such file or directory" in done.err


@pytest.mark.parametrize("token", ["fifteen-letters", "two words and more", "\u00e9" * 16])
@pytest.mark.parametrize("command", [["check"], []], ids=["check", "run"])
def test_an_unusable_operator_token(run: Run, config: Path, token: str, command: list[str]) -> None:
    """A short operator's token, or one that no header can carry, is refused, and is not shown."""
    config.write_text(config.read_text().replace(TOKEN, token))
    done = run("proxy", "--config", config, *command)
    assert (done.code, done.out) == (2, "")
    assert "operator_token must have 16 characters or more" in done.err
    assert token not in done.err


# add-vendor


def test_add_vendor(run: Run, config: Path) -> None:
    """The secret is on stdout once and in no file; limits are appended to the configuration."""
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
    """A vendor that is configured already gets one more secret, and the configuration does not change."""
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
    """Any client id gets its own table, with its characters quoted."""
    assert run("proxy", "--config", config, "add-vendor", name, "--mints-per-hour", "2").code == 0
    assert load(config).vendors[name].mints_per_hour == 2
    assert set(load(config).vendors) == {"acme", name}


@pytest.mark.parametrize("name", ["", "two words", "a:b", "\u00e9", "x" * 201])
def test_an_impossible_name(run: Run, config: Path, name: str) -> None:
    """A name that no client id can have is refused, and nothing is written."""
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
def test_a_wrong_vendor(run: Run, config: Path, words: list[str], why: str) -> None:
    """Options that the configuration rules out are refused before anything is written."""
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
    """Without a client_id upstream the proxy has no secrets to give, and the error says what to do."""
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
    """Wrong usage is exit code 2 with the usage on stderr."""
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("usage: m2m-auth")


@pytest.mark.parametrize("words", [["--help"], ["proxy", "--help"], ["proxy", "add-vendor", "--help"], ["--version"]])
def test_help(run: Run, words: list[str]) -> None:
    """Help is exit code 0, on stdout."""
    done = run(*words)
    assert (done.code, done.err) == (0, "")
    assert "m2m-auth" in done.out


@pytest.mark.parametrize("words", [[], ["proxy"], ["proxy", "init"], ["proxy", "check"], ["proxy", "add-vendor"]])
def test_every_help_has_an_example_that_works(run: Run, config: Path, words: list[str]) -> None:
    """Each example of a help text is a valid command line, whose own help it can show."""
    help_text = run(*words, "--help").out
    examples = [line.split("   ")[0].split() for line in help_text.splitlines() if line.startswith("  m2m-auth ")]
    assert examples
    for _, *example in examples:
        assert run(*example, "--help").code == 0, example


@pytest.mark.parametrize("missing", ["waitress"])
def test_without_the_extra(run: Run, config: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waitress the error says what to install, and the other commands work."""
    monkeypatch.setitem(sys.modules, missing, None)
    done = run("proxy", "--config", config)
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"m2m-auth: m2m-auth proxy needs the package '{missing}', which is not installed. "
        "Fix: pip install 'm2m-auth[proxy]'\n"
    )
    assert run("proxy", "--config", config, "check").code == 0


def test_the_port_is_taken(run: Run, config: Path) -> None:
    """A port in use is exit code 1 with the address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("proxy", "--config", config, "--port", port)
    assert (done.code, done.out) == (1, "")
    assert done.err == f"m2m-auth: cannot listen on 127.0.0.1 port {port}: {os.strerror(98)}\n"
