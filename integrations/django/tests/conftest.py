"""Sets Django up once, with the tests' own settings; every test starts without clients and tokens."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
import pytest
from django.conf import settings as django_settings
from django.test import override_settings
from django.test.utils import setup_test_environment

from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

if not django_settings.configured:
    os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"
    django.setup()
    setup_test_environment()


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """An authorization server, with an API."""
    with FakeAuthorizationServer() as running:
        yield running


@pytest.fixture
def client_options(server: FakeAuthorizationServer) -> dict[str, Any]:
    """A client of M2M_AUTH["CLIENTS"] that works."""
    return {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}


@pytest.fixture
def configured(client_options: dict[str, Any], tmp_path: Path) -> Iterator[dict[str, Any]]:
    """M2M_AUTH with one client, ``billing``, and a disk cache of the test's own."""
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": f"disk:{tmp_path}/tokens"}}
    with override_settings(M2M_AUTH=setting):
        yield setting


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """No token is held from an earlier test, and this test leaves no connection open."""
    from django.db import connections

    forget_everything()
    yield
    connections.close_all()
    forget_everything()
