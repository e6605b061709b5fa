"""``flask m2m-auth``: what people read, what scripts read, and exit codes; no secret in either."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from commands_contract import CommandsContract, Ran
from flask import Flask
from flask_apps import MakeApp
from flask_caching import Cache
from flask_m2m_auth import M2M

from m2m_auth import TokenSource
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer


def run(app: Flask, *arguments: str) -> Result:
    """``flask m2m-auth …`` as its own invocation."""
    return app.test_cli_runner().invoke(args=["m2m-auth", *arguments])


@pytest.mark.filterwarnings("ignore")  # Flask-Caching's about its own file cache
class TestCommands(CommandsContract):
    """The contract of all frameworks."""

    def app(self, settings: dict[str, Any]) -> Flask:
        """An app with these settings."""
        app = Flask("shop")
        app.config.update({f"M2M_AUTH_{name}": value for name, value in settings.items()})
        return app

    def run(self, settings: dict[str, Any], *arguments: str) -> Ran:
        """The command of a new app, whose configuration is read when the command needs it."""
        app = self.app({})
        M2M(app)
        app.config.update(self.app(settings).config)
        folder = next((each["FOLDER"] for each in settings.get("CACHES", {}).values() if "FOLDER" in each), None)
        if folder is not None:
            app.config["M2M_AUTH_CACHES"] = {"default": {"FLASK_CACHING": True}}
            Cache(app, config={"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": folder})
        done = run(app, *arguments)
        return Ran(done.exit_code != 0, done.stdout, done.stderr.removeprefix("Error: ").rstrip("\n"))

    def source(self, settings: dict[str, Any]) -> TokenSource:
        """The source in a new app."""
        app = self.app(settings)
        m2m = M2M(app)
        with app.app_context():
            return m2m["billing"].source

    def forget(self) -> None:
        """Each command has a new app; the tokens are the process's."""
        forget_everything()

    @pytest.fixture
    def file_cache(self, tmp_path: Path) -> dict[str, Any]:
        """Flask-Caching's FileSystemCache, which has no lease."""
        return {"FOLDER": str(tmp_path / "files")}


def test_doctor_races_two_processes(server: FakeAuthorizationServer, make_app: MakeApp, tmp_path: Path) -> None:
    """Processes race for the lease of a cache by URL and of one by import path; exit code 0."""
    disk = {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache", "OPTIONS": {"folder": str(tmp_path / "own")}}
    done = run(make_app(M2M_AUTH_CACHES={"default": f"disk:{tmp_path}/tokens", "own": disk}), "doctor", "--json")
    findings = json.loads(done.stdout)
    assert [finding for finding in findings if not finding["ok"]] == []
    raced = [finding["alias"] for finding in findings if "two processes raced" in finding["what"]]
    assert raced == ["default", "own"]
    assert done.exit_code == 0
    assert server.token_requests == 0


def test_help(make_app: MakeApp) -> None:
    """The five commands, each with a line that says what it does."""
    lines = run(make_app(), "--help").output.splitlines()
    for command in ("status", "token", "renew", "clear", "doctor"):
        assert any(line.strip().startswith(command + " ") and len(line) > 20 for line in lines), command
