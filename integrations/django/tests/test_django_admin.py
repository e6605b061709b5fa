"""The admin page "Service tokens", through Django's test client; test_django_browser.py opens it in a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client, override_settings
from django_m2m_auth import m2m
from django_support import database

from m2m_auth.operations.client_reports import reports
from m2m_auth.testing import FakeAuthorizationServer

PAGE = "/admin/m2m_auth/servicetoken/"


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A migrated database."""
    path = tmp_path_factory.mktemp("admin") / "db.sqlite3"
    with database(NAME=str(path)):
        call_command("migrate", verbosity=0)
    return path


@pytest.fixture
def on_database(migrated: Path) -> Iterator[None]:
    """That database, without any users."""
    with database(NAME=str(migrated)):
        User.objects.all().delete()
        yield


def signed_in(*permissions: str, **options: Any) -> Client:
    """A test client, logged in as staff with these permissions."""
    user = User.objects.create_user("ada", password="pw", is_staff=True)
    for name in permissions:
        user.user_permissions.add(Permission.objects.get(content_type__app_label="m2m_auth", codename=name))
    client = Client(**options)
    client.force_login(user)
    return client


@pytest.mark.loopback
@pytest.mark.usefixtures("on_database")
def test_it_shows_the_token_and_no_secret(configured: dict[str, Any]) -> None:
    """Client, state and mints are there; neither the token nor the client secret is."""
    token = m2m["billing"].source.token()
    text = signed_in("view_servicetoken").get(PAGE).content.decode()
    assert "Service tokens" in text
    assert "billing" in text
    assert token.fingerprint in text
    assert token.value not in text
    assert "csrfmiddlewaretoken" not in text.partition('class="m2m"')[2], "a button without the permission to change"


@pytest.mark.loopback
@pytest.mark.usefixtures("on_database")
def test_permissions(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """Without the permission to view there is no page, logged in or not; without the one to change there is no POST."""
    assert Client().get(PAGE).status_code == 302
    plain = signed_in()
    assert plain.get(PAGE).status_code == 403
    User.objects.all().delete()
    viewer = signed_in("view_servicetoken")
    assert viewer.get(PAGE).status_code == 200
    assert viewer.post(PAGE, {"operation": "renew", "alias": "billing"}).status_code == 403
    assert server.mints == 0


@pytest.mark.loopback
@pytest.mark.usefixtures("on_database")
def test_renew_and_clear_by_its_own_form(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """A POST needs the page's CSRF token and nothing else; GET changes nothing."""
    browser = signed_in("view_servicetoken", "change_servicetoken", enforce_csrf_checks=True)
    first = m2m["billing"].source.token()
    assert browser.post(PAGE, {"operation": "renew", "alias": "billing"}).status_code == 403
    assert browser.get(PAGE, {"operation": "renew", "alias": "billing"}).status_code == 200
    assert server.mints == 1
    text = browser.get(PAGE).content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text.partition('class="m2m"')[2])
    assert found
    form = {"csrfmiddlewaretoken": found[1], "alias": "billing"}
    answer = browser.post(PAGE, {**form, "operation": "renew"}, follow=True).content.decode()
    second = m2m["billing"].source.token()
    assert first != second
    assert f"New token for billing: {second.fingerprint}." in answer
    answer = browser.post(PAGE, {**form, "operation": "clear"}, follow=True).content.decode()
    assert "Cleared billing: the next call mints." in answer
    assert m2m["billing"].source.status().state == "none"
    assert server.mints == 2


@pytest.mark.loopback
@pytest.mark.usefixtures("on_database")
def test_errors_are_shown_on_the_page(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """A failed renewal, an unknown client and wrong settings are messages on the page, not a 500."""
    browser = signed_in("view_servicetoken", "change_servicetoken")
    server.fail("invalid_client")
    answer = browser.post(PAGE, {"operation": "renew", "alias": "billing"}, follow=True)
    assert "invalid_client" in answer.content.decode()
    answer = browser.post(PAGE, {"operation": "renew", "alias": "<b>"}, follow=True)
    assert "there is no client &#x27;&lt;b&gt;&#x27;" in answer.content.decode()
    with override_settings(M2M_AUTH={"CLIENTS": {"billing": {}}}):
        answer = browser.get(PAGE)
        assert answer.status_code == 200
        assert "is missing" in answer.content.decode()


@pytest.mark.loopback
@pytest.mark.usefixtures("on_database")
def test_status_in_an_async_view(client_options: dict[str, Any]) -> None:
    """Django forbids queries on an event loop's thread; the page works all the same with a table as the cache."""
    call_command("createcachetable", verbosity=0)
    setting = {"CLIENTS": {"billing": client_options}, "CACHES": {"default": {"DJANGO_CACHE": "default"}}}
    with override_settings(M2M_AUTH=setting):
        source = m2m["billing"].source
        source.token()

        async def view() -> int:
            return source.status().ledger.mints.month

        assert asyncio.run(view()) == 1
        (found,) = reports({"billing": source})
        assert found.cache_answers, "it was not taken for a fault of the cache"
        assert [each.mints for each in found.hosts] == [1]


@pytest.mark.usefixtures("on_database")
def test_the_model_without_a_table_disturbs_nothing() -> None:
    """There is no migration to make, and dumpdata reads no table."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
    out = StringIO()
    call_command("dumpdata", "m2m_auth", stdout=out)
    assert out.getvalue().strip() == "[]"
    assert "Service tokens" not in Client().get("/admin/login/").content.decode()
