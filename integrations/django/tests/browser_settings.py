"""The settings of a project whose admin a real browser opens: many clients, in every state."""

from __future__ import annotations

import json
import os

from django_settings import *  # noqa: F403
from django_settings import FOLDER
from django_settings import INSTALLED_APPS as _APPS

DEBUG = True
ROOT_URLCONF = "browser_views"
INSTALLED_APPS = [*_APPS, "django.contrib.staticfiles"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
M2M_AUTH = {
    "CLIENTS": json.loads(os.environ["M2M_TEST_CLIENTS"]),
    "CACHES": {"default": f"disk:{FOLDER}/tokens"},
}
