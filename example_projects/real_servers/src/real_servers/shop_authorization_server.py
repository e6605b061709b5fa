"""A small authorization server for the examples: django-oauth-toolkit in one file. You have your own.

It issues opaque tokens to services (RFC 6749 §4.4), bound to the API that they name (RFC 8707), and introspects them
for the API (RFC 7662). Every token is a row of its table ``oauth2_provider_accesstoken``.
"""

from __future__ import annotations

import os
import secrets
from typing import Any

import django
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher

SCOPES = {"stock:read": "Look at the stock", "stock:reserve": "Reserve pieces"}
CLIENTS = {"shop": ["stock:read"], "orders": ["stock:read", "stock:reserve"], "inventory": []}
"""The services with the scopes that they may have. The inventory gets no tokens; it only introspects them."""


class ScopesOfTheClient:
    """The scopes of each client, through an extension point of django-oauth-toolkit."""

    def get_all_scopes(self) -> dict[str, str]:
        """Every scope with its description."""
        return SCOPES

    def get_available_scopes(self, application: Any = None, **_: Any) -> list[str]:
        """The scopes that this client may have."""
        return CLIENTS.get(application.client_id, []) if application else []

    def get_default_scopes(self, application: Any = None, **_: Any) -> list[str]:
        """The scopes for a request without scope: all that this client may have."""
        return self.get_available_scopes(application)


class QuickHash(PBKDF2PasswordHasher):
    """Random secrets need no slow hash, and the example should not wait a second for a token."""

    iterations = 1000


settings.configure(
    SECRET_KEY=secrets.token_urlsafe(),
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF="oauth2_provider.urls",
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "oauth2_provider"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    PASSWORD_HASHERS=[f"{__name__}.QuickHash"],
    USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ["AUTHORIZATION_DATABASE"],
            # Several threads write: take the write lock at once instead of failing on its upgrade.
            "OPTIONS": {"timeout": 30, "transaction_mode": "IMMEDIATE", "init_command": "PRAGMA journal_mode=wal"},
        }
    },
    # Tables straight from the models: the database is new each time.
    MIGRATION_MODULES={"contenttypes": None, "auth": None, "oauth2_provider": None},
    OAUTH2_PROVIDER={"SCOPES_BACKEND_CLASS": ScopesOfTheClient, "ACCESS_TOKEN_EXPIRE_SECONDS": 3600},
)
django.setup()

from django.core.management import call_command  # noqa: E402  Django must be set up first
from django.core.wsgi import get_wsgi_application  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
for name in CLIENTS:
    Application.objects.create(
        client_id=name,
        client_secret=os.environ[f"{name.upper()}_SECRET"],  # the table has its hash only
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )

application = get_wsgi_application()
