"""The README's examples and commands are run, in their order, after the first lines of a settings.py."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import RequestFactory, override_settings

from m2m_auth import TokenUnavailable
from m2m_auth.testing import FakeAuthorizationServer

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(server: FakeAuthorizationServer) -> list[str]:
    """The README's Python, with this server's addresses in the place of its own."""
    text = README.replace("https://tenant.example/oauth/token", server.token_endpoint)
    text = text.replace("https://billing.example/", f"{server.base_url}/api/")
    text = text.replace("https://billing.example", server.base_url)
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_the_readme(
    server: FakeAuthorizationServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The settings configure the view, its call carries a token, the commands run, and the receiver gets the signal."""
    server.clients["shop"] = "s3cr3t"
    monkeypatch.setenv("BILLING_SECRET", "s3cr3t")
    names: dict[str, Any] = {"__name__": "shop", "os": os, "INSTALLED_APPS": []}
    settings, views, signals = (compile(block, "README.md", "exec") for block in blocks(server))
    exec(settings, names)
    assert names["INSTALLED_APPS"] == ["django_m2m_auth"]
    # The default, the user's folder, is opened once per process, by the first test.
    with override_settings(M2M_AUTH={**names["M2M_AUTH"], "CACHES": {"default": f"disk:{tmp_path / 'tokens'}"}}):
        exec(views, names)
        with names["session"] as session:
            session.trust_env = False
            answer = names["invoices"](RequestFactory().get("/invoices"))
        assert answer.status_code == 200
        assert [call.status for call in server.api_calls] == [200]

        assert server.mints == 1
        commands = re.findall(r"^    manage\.py m2m_auth (\w+)(?: (\w+))?", README, re.MULTILINE)
        assert [command for command, _ in commands] == ["status", "token", "renew", "clear", "doctor"]
        for command, alias in commands[:-1]:  # doctor's processes know no overridden settings
            call_command("m2m_auth", command, *([alias] if alias else []), "--json")

        exec(signals, names)
        try:
            server.fail("503")
            with pytest.raises(TokenUnavailable):
                names["m2m"]["billing"].source.renew()
        finally:
            names["renewal_failed"].disconnect(names["log_failure"])
        logged = [record.getMessage() for record in caplog.records if record.name == "shop"]
        assert logged == ["no new token for billing: http_503"]
