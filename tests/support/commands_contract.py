"""What operators' commands print, the same for every framework: each runs this suite through its own command line."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from m2m_auth import TokenSource
from m2m_auth.testing import FakeAuthorizationServer


class Ran(NamedTuple):
    """What one command did."""

    failed: bool
    """True where the exit code is not 0."""
    out: str
    """What it printed to stdout."""
    message: str
    """The error's message; empty without an error."""


class CommandsContract:
    """The suite. A subclass runs a command of a project with these settings; its clients may use ``server``."""

    def run(self, settings: dict[str, Any], *arguments: str) -> Ran:
        """One command, as the framework's own invocation in this process."""
        raise NotImplementedError

    def source(self, settings: dict[str, Any]) -> TokenSource:
        """The source of the client ``billing``."""
        raise NotImplementedError

    def forget(self) -> None:
        """Makes this process forget everything that a new one does not know."""
        raise NotImplementedError

    @pytest.fixture
    def file_cache(self) -> dict[str, Any]:
        """An entry of CACHES that stands for the framework's file cache; :meth:`run` knows it by ``FOLDER``."""
        raise NotImplementedError

    @pytest.fixture
    def settings(self, server: FakeAuthorizationServer, tmp_path: Path) -> dict[str, Any]:
        """One client and a disk cache of the test's own."""
        billing = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
        return {"CLIENTS": {"billing": billing}, "CACHES": {"default": f"disk:{tmp_path}/tokens"}}

    def json(self, settings: dict[str, Any], *arguments: str) -> Any:
        """What the command prints as JSON."""
        ran = self.run(settings, *arguments, "--json")
        assert not ran.failed, ran
        return json.loads(ran.out)

    def test_status(self, settings: dict[str, Any], server: FakeAuthorizationServer) -> None:
        """It reads the shared token in a process that has not used it, mints nothing and shows no token."""
        assert self.json(settings, "status")[0]["state"] == "none"
        assert server.token_requests == 0
        token = self.source(settings).token()
        self.forget()
        table = self.run(settings, "status").out
        assert table.splitlines()[0].split()[:3] == ["client", "state", "token"]
        assert table.splitlines()[2].split()[:3] == ["billing", "fresh", token.fingerprint]
        (facts,) = self.json(settings, "status")
        assert (facts["alias"], facts["state"], facts["fingerprint"]) == ("billing", "fresh", token.fingerprint)
        assert facts["mints"]["month"] == 1
        assert token.value not in table + json.dumps(facts)
        assert server.mints == 1

    def test_token(self, settings: dict[str, Any], server: FakeAuthorizationServer) -> None:
        """It prints the fingerprint; only --reveal prints the token, and without --json nothing else."""
        token = self.source(settings).token()
        text, facts = self.run(settings, "token", "billing").out, self.json(settings, "token", "billing")
        assert text.startswith(f"billing: token {token.fingerprint} expires in ")
        assert (facts["alias"], facts["fingerprint"]) == ("billing", token.fingerprint)
        assert facts["expires_at"] == pytest.approx(token.expires_at, abs=1)
        assert token.value not in text + json.dumps(facts)
        assert self.run(settings, "token", "billing", "--reveal").out == token.value + "\n"
        revealed = self.json(settings, "token", "billing", "--reveal")
        assert revealed["access_token"] == token.value
        assert revealed.keys() - facts.keys() == {"access_token"}
        assert server.mints == 1

    def test_renew_and_clear(self, settings: dict[str, Any], server: FakeAuthorizationServer) -> None:
        """renew mints now; after clear nothing is left in the shared cache, and the next call mints."""
        first = self.source(settings).token()
        second = self.json(settings, "renew", "billing")
        assert (second["fingerprint"] != first.fingerprint, server.mints) == (True, 2)
        assert self.run(settings, "clear", "billing").out == "billing: cleared; the next call mints\n"
        self.forget()
        assert self.json(settings, "status")[0]["state"] == "none"
        assert self.json(settings, "clear", "billing") == {"alias": "billing", "cleared": True}
        assert server.mints == 2
        assert not self.run(settings, "token", "billing").failed
        assert server.mints == 3

    def test_errors_are_messages(self, settings: dict[str, Any], server: FakeAuthorizationServer) -> None:
        """An unknown client, a refused secret and wrong settings: a message and exit code 1, no traceback."""
        billing = settings["CLIENTS"]["billing"]
        refused = {"CLIENTS": {"billing": {**billing, "CLIENT_SECRET": "not the secret"}}}
        runs = {
            "invalid_client": self.run(refused, "token", "billing"),
            "there is no client '\\x1b[2Jbilling'": self.run(settings, "renew", "\x1b[2Jbilling"),
            "did you mean 'redis'": self.run({**settings, "CACHES": {"default": "reddis://host"}}, "doctor"),
            '["billing"]["TOKEN_ENDPOINT"]: is missing': self.run(
                {"CLIENTS": {"billing": {**billing, "TOKEN_ENDPOINT": None}}}, "status"
            ),
        }
        for words, ran in runs.items():
            assert ran.failed, words
            assert words in ran.message + ran.out
            assert "not the secret" not in ran.message
            assert "Traceback" not in ran.message

    def test_doctor_finds_what_is_wrong(self, settings: dict[str, Any], file_cache: dict[str, Any]) -> None:
        """A cache without a lease is a finding with its fix, in text and in JSON, and the command fails."""
        settings = {**settings, "CACHES": {"default": file_cache}}
        ran = self.run(settings, "doctor")
        assert ran.failed
        assert re.fullmatch(r"1 thing is wrong|[2-9] things are wrong", ran.message)
        assert "WRONG  default: it has no atomic add" in ran.out
        assert "\n       Fix: " in ran.out
        wrong = [each for each in json.loads(self.run(settings, "doctor", "--json").out) if not each["ok"]]
        assert {(each["alias"], bool(each["fix"])) for each in wrong} == {("default", True)}

    def test_doctor_reports_a_warning_about_the_settings(self, settings: dict[str, Any]) -> None:
        """What may surprise is a finding about the settings, and no failure by itself."""
        settings["CLIENTS"]["billing"]["CLIENT_SECRET"] = "nowhere.secrets.billing"
        found = json.loads(self.run({**settings, "CACHES": {"default": "memory:"}}, "doctor", "--json").out)
        (warning,) = [each for each in found if "looks like an import path" in each["what"]]
        assert (warning["alias"], warning["ok"], bool(warning["fix"])) == ("billing", True, True)
