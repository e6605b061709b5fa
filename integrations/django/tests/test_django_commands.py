"""``manage.py m2m_auth``: what people read, what programs read, and what is never printed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django_m2m_auth import m2m

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer


def said(*arguments: str) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("m2m_auth", *arguments, stdout=out)
    return out.getvalue()


def test_status_is_a_table_and_json(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """status knows the shared token in a process that has never used it, mints nothing and shows no token."""
    token = m2m["billing"].source.token()
    forget_everything()
    m2m.reset()
    table = said("status")
    assert table.splitlines()[0].split()[:3] == ["client", "state", "token"]
    assert table.splitlines()[2].split()[:3] == ["billing", "fresh", token.fingerprint]
    (facts,) = json.loads(said("status", "--json"))
    assert (facts["alias"], facts["state"], facts["mints"]["month"]) == ("billing", "fresh", 1)
    assert token.value not in table + json.dumps(facts)
    assert server.mints == 1


def test_token_prints_a_fingerprint_unless_asked(configured: dict[str, Any]) -> None:
    """token shows the fingerprint and the time left; --reveal alone prints the token, by itself, for $(…)."""
    token = m2m["billing"].source.token()
    assert said("token", "billing").startswith(f"billing: token {token.fingerprint}, ")
    assert json.loads(said("token", "billing", "--json"))["fingerprint"] == token.fingerprint
    assert token.value not in said("token", "billing") + said("token", "billing", "--json")
    assert said("token", "billing", "--reveal") == token.value + "\n"
    assert json.loads(said("token", "billing", "--reveal", "--json"))["token"] == token.value


def test_renew_and_clear(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """renew mints a new token; after clear the next call does, and nothing is left in the shared cache."""
    first = m2m["billing"].source.token()
    assert first.fingerprint not in said("renew", "billing")
    assert server.mints == 2
    assert said("clear", "billing") == "billing: cleared; the next call mints\n"
    forget_everything()
    m2m.reset()
    assert json.loads(said("status", "--json"))[0]["state"] == "none"
    m2m["billing"].source.token()
    assert server.mints == 3
    assert json.loads(said("clear", "billing", "--json")) == {"client": "billing", "cleared": True}


def test_what_goes_wrong_is_said_in_words(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """An unknown client, bad settings and a refused secret are CommandErrors, not tracebacks."""
    with pytest.raises(CommandError, match="did you mean 'billing'"):
        said("token", "biling")
    server.fail("invalid_client")
    with pytest.raises(CommandError, match="invalid_client"):
        said("token", "billing")
    missing = pytest.raises(CommandError, match=r"\['TOKEN_ENDPOINT'\]: is missing")
    with override_settings(M2M_AUTH={"CLIENTS": {"billing": {}}}), missing:
        said("status")


def test_doctor_races_two_processes(tmp_path: Path) -> None:
    """From a real command line doctor has two processes race for the lease of each cache, and ends with 0."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "django_settings", "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "django", "m2m_auth", "doctor"],
        cwd=Path(__file__).parent,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "default: ok: two processes raced for" in done.stdout


def test_doctor_finds_what_is_wrong(configured: dict[str, Any], tmp_path: Path) -> None:
    """A file-based cache: the settings' warning and the finding with its fix, and the command fails."""
    caches = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)}}
    with override_settings(CACHES=caches, M2M_AUTH={**configured, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}):
        out = StringIO()
        with pytest.raises(CommandError, match="wrong"):
            call_command("m2m_auth", "doctor", "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert "its add() is not atomic" in told["settings"][0]
    wrong = [finding for finding in told["caches"] if not finding["ok"]]
    assert wrong
    assert all(finding["fix"] for finding in wrong)
