"""``manage.py m2m_auth``: what people read, what programs read, and what is never printed."""

from __future__ import annotations

import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from commands_contract import CommandsContract, Ran
from django.core.management import CommandError, call_command
from django.test import override_settings
from django_m2m_auth import m2m

from m2m_auth import TokenSource
from m2m_auth.source.registry import forget_everything

FILES = "django.core.cache.backends.filebased.FileBasedCache"


class TestCommands(CommandsContract):
    """The contract of all frameworks."""

    def run(self, settings: dict[str, Any], *arguments: str) -> Ran:
        """``manage.py m2m_auth …`` with these settings."""
        out = StringIO()
        cache = settings.get("CACHES", {}).get("default", {})
        caches = {"default": {"BACKEND": FILES}}
        if "FOLDER" in cache:
            caches["default"]["LOCATION"] = cache["FOLDER"]
            settings = {**settings, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
        with override_settings(M2M_AUTH=settings, CACHES=caches):
            try:
                call_command("m2m_auth", *arguments, stdout=out)
            except CommandError as error:
                return Ran(True, out.getvalue(), str(error))
        return Ran(False, out.getvalue(), "")

    def source(self, settings: dict[str, Any]) -> TokenSource:
        """The source with these settings."""
        with override_settings(M2M_AUTH=settings):
            return m2m["billing"].source

    def forget(self) -> None:
        """The sources are forgotten with the settings; the tokens are the process's."""
        forget_everything()

    @pytest.fixture
    def file_cache(self, tmp_path: Path) -> dict[str, Any]:
        """Django's file-based cache, which has no lease."""
        return {"FOLDER": str(tmp_path / "files")}


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
    assert "ok     default: two processes raced for" in done.stdout


def test_help() -> None:
    """The five operations, each with a line that says what it does."""
    command = [sys.executable, "-m", "django", "m2m_auth", "--help"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "django_settings"}
    done = subprocess.run(command, cwd=Path(__file__).parent, env=environment, capture_output=True, text=True)
    for operation in ("status", "token", "renew", "clear", "doctor"):
        lines = [line for line in done.stdout.splitlines() if line.strip().startswith(operation + " ")]
        assert any(len(line) > 30 for line in lines), done.stdout
