"""The settings of the tests' project under an ASGI server."""

from __future__ import annotations

from django_settings import *  # noqa: F403

ROOT_URLCONF = "django_asgi"
