"""The settings of a project with django-debug-toolbar, in a process of its own."""

from __future__ import annotations

import os

from debug_toolbar.settings import PANELS_DEFAULTS
from django_settings import *  # noqa: F403
from django_settings import INSTALLED_APPS as _APPS
from django_settings import MIDDLEWARE as _MIDDLEWARE

DEBUG = True
INTERNAL_IPS = ["127.0.0.1"]
ROOT_URLCONF = "toolbar_views"
INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles", "debug_toolbar"]
MIDDLEWARE = ["debug_toolbar.middleware.DebugToolbarMiddleware", *_MIDDLEWARE]
DEBUG_TOOLBAR_PANELS = [*PANELS_DEFAULTS, "django_m2m_auth.panel.M2MPanel"]
DEBUG_TOOLBAR_CONFIG = {"IS_RUNNING_TESTS": False}
M2M_AUTH = {
    "CLIENTS": {
        "billing": {
            "TOKEN_ENDPOINT": os.environ["M2M_TEST_ENDPOINT"],
            "CLIENT_ID": "client",
            "CLIENT_SECRET": "secret",
        }
    }
}
