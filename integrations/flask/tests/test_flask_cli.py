"""``flask m2m-auth``: what people read, what scripts read, and exit codes; no secret in either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from flask_apps import MakeApp
from flask_caching import Cache
from flask_m2m_auth import M2M

from m2m_auth.testing import FakeAuthorizationServer


def run(app: Flask, *arguments: str) -> Result:
    """``flask m2m-auth …`` as its own invocation."""
    return app.test_cli_runner().invoke(args=["m2m-auth", *arguments])


def test_status(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """It mints nothing; afterwards it tells the token's fingerprint, in a table and as JSON."""
    app = make_app()
    assert json.loads(run(app, "status", "--json").output)[0]["state"] == "none"
    assert server.token_requests == 0
    with app.app_context():
        token = m2m["billing"].source.token()
    table, found = run(app, "status").output, json.loads(run(app, "status", "--json").output)
    assert "billing" in table
    assert token.fingerprint in table
    assert [(each["alias"], each["state"], each["fingerprint"]) for each in found] == [
        ("billing", "fresh", token.fingerprint)
    ]
    assert found[0]["mints"]["month"] == 1


def test_token(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """A fingerprint; the token itself, and nothing else, only with --reveal."""
    app = make_app()
    words, facts = run(app, "token", "billing").output, json.loads(run(app, "token", "billing", "--json").output)
    revealed = run(app, "token", "billing", "--reveal")
    as_json = json.loads(run(app, "token", "billing", "--reveal", "--json").output)
    assert server.is_active(revealed.output.strip())
    assert as_json == {"access_token": revealed.output.strip()}
    assert facts["fingerprint"] in words
    assert revealed.output.strip() not in words + json.dumps(facts)
    assert server.mints == 1


def test_renew_and_clear(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """renew mints now; clear forgets, so that the next call mints."""
    app = make_app()
    first = json.loads(run(app, "token", "billing", "--json").output)["fingerprint"]
    second = json.loads(run(app, "renew", "billing", "--json").output)["fingerprint"]
    assert (first != second, server.mints) == (True, 2)
    assert second in run(app, "token", "billing").output
    assert run(app, "clear", "billing").output == "billing: cleared; the next call mints\n"
    assert json.loads(run(app, "clear", "billing", "--json").output) == {"alias": "billing", "cleared": True}
    assert server.mints == 2
    assert run(app, "token", "billing").exit_code == 0
    assert server.mints == 3


def test_doctor(server: FakeAuthorizationServer, make_app: MakeApp, tmp_path: Path) -> None:
    """A good cache by URL and one by import path are raced for by processes; exit code 0."""
    disk = {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache", "OPTIONS": {"folder": str(tmp_path / "mine")}}
    app = make_app(M2M_AUTH_CACHES={"default": "disk:", "mine": disk})
    done = run(app, "doctor", "--json")
    findings = json.loads(done.output)
    assert {finding["alias"] for finding in findings} == {"default", "mine"}
    assert [finding for finding in findings if not finding["ok"]] == []
    raced = [finding["alias"] for finding in findings if "two processes raced" in finding["what"]]
    assert raced == ["default", "mine"]
    assert done.exit_code == 0
    assert server.token_requests == 0


@pytest.mark.filterwarnings("ignore")
def test_doctor_finds_a_cache_without_a_lease(make_app: MakeApp, tmp_path: Path) -> None:
    """Flask-Caching's files: what is wrong, the fix, and exit code 1."""
    app = make_app(
        M2M_AUTH_CACHES={"default": {"FLASK_CACHING": True}},
        CACHE_TYPE="FileSystemCache",
        CACHE_DIR=str(tmp_path / "c"),
    )
    Cache(app)
    done = run(app, "doctor")
    assert "WRONG  default: it has no atomic add" in done.output
    assert "Fix: " in done.output
    assert done.exit_code == 1


def test_errors_are_words(server: FakeAuthorizationServer, make_app: MakeApp) -> None:
    """An unknown alias, a refused secret, a misconfiguration: a line on stderr and exit code 1, no traceback."""
    app = make_app({"CLIENT_SECRET": "not the secret"})
    refused, unknown = run(app, "token", "billing"), run(app, "renew", "\x1b[2J<billing>")
    broken = run(make_app(M2M_AUTH_CACHES={"default": "reddis://host"}), "doctor")
    for done, words in ((refused, "invalid_client"), (unknown, "Known: 'billing'"), (broken, "did you mean 'redis'")):
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("Error: ")
        assert words in done.stderr
        assert done.stderr.rstrip("\n").isprintable()
        assert "not the secret" not in done.stderr


def test_help(make_app: MakeApp) -> None:
    """The five commands, each with a line that says what it does."""
    lines = run(make_app(), "--help").output.splitlines()
    for command in ("status", "token", "renew", "clear", "doctor"):
        assert any(line.strip().startswith(command + " ") and len(line) > 20 for line in lines), command
