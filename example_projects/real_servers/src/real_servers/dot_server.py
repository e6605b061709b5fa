"""django-oauth-toolkit's authorization server as a one-file Django project; started by `real_servers.start_dot`.

It keeps the defaults: opaque tokens, hashed client secrets, and a resource decorator that answers 403 to an expired
token. Django's default password hasher makes a mint slow; tests may replace it.
"""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings

from .child import Config, run
from .counting import MintCounter

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from django.http import HttpRequest, HttpResponse

urlpatterns: list[Any] = []  # filled once Django is set up; this module is its own ROOT_URLCONF


class ClientScopes:
    """A scopes backend, an extension point of django-oauth-toolkit: every client has its list."""

    by_client: dict[str, list[str]] = {}  # noqa: RUF012  the backend is made anew for every request

    def get_all_scopes(self) -> dict[str, str]:
        """Return every known scope with its description."""
        return {scope: scope for scopes in self.by_client.values() for scope in scopes}

    def get_available_scopes(self, application: Any = None, request: Any = None) -> list[str]:
        """Return the scopes that this client may request."""
        return self.by_client.get(application.client_id, []) if application else []

    def get_default_scopes(self, application: Any = None, request: Any = None) -> list[str]:
        """Return the scopes for a request without scope: all that this client may have."""
        return self.get_available_scopes(application)


def configure(config: Config) -> None:
    """Set Django up on a fresh SQLite file in the folder of the configuration."""
    lifetimes = {client["client_id"]: client["lifetime"] for client in config["clients"]}
    fast = {"PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"]} if config["fast_hash"] else {}
    settings.configure(
        SECRET_KEY=secrets.token_urlsafe(),
        ALLOWED_HOSTS=["127.0.0.1"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"],
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # Content-Length, without which no keep-alive
        USE_TZ=True,
        # Tables straight from the models: replaying years of migrations would take most of the start.
        MIGRATION_MODULES={"contenttypes": None, "auth": None, "oauth2_provider": None},
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(config["folder"]) / "dot.sqlite3"),
                "CONN_MAX_AGE": None,
                # Several threads write: take the write lock at once instead of failing on its upgrade.
                "OPTIONS": {
                    "timeout": 30,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=off",
                },
            }
        },
        OAUTH2_PROVIDER={
            "SCOPES_BACKEND_CLASS": ClientScopes,
            "EXTRA_SERVER_KWARGS": {"token_expires_in": lambda request: lifetimes[request.client.client_id]},
        },
        **fast,
    )
    django.setup()


def create_clients(config: Config) -> None:
    """Create the tables, the clients, and the long-lived token with which an API may introspect."""
    from django.core.management import call_command
    from django.utils import timezone
    from oauth2_provider.models import AccessToken, Application

    call_command("migrate", run_syncdb=True, verbosity=0)
    for client in config["clients"]:
        ClientScopes.by_client[client["client_id"]] = client["scopes"]
        Application.objects.create(
            client_id=client["client_id"],
            client_secret=client["client_secret"],  # hashed by the model as it is saved
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
        )
    AccessToken.objects.create(
        token=config["introspection_token"], scope="introspection", expires=timezone.now() + timedelta(days=1)
    )


def build(config: Config, base_url: str) -> WSGIApplication:
    """Return the whole project as one WSGI application that counts its mints."""
    configure(config)
    create_clients(config)

    from django.core.wsgi import get_wsgi_application
    from django.http import JsonResponse
    from django.urls import include, path
    from oauth2_provider import urls as oauth2_urls
    from oauth2_provider.decorators import protected_resource

    @protected_resource()
    def protected(request: HttpRequest) -> HttpResponse:
        return JsonResponse({"hello": "world"})

    endpoints = (oauth2_urls.base_urlpatterns, oauth2_urls.app_name)
    urlpatterns.extend([path("o/", include(endpoints)), path("api/protected", protected)])
    return MintCounter(get_wsgi_application(), config["token_path"])


if __name__ == "__main__":
    run(build)
