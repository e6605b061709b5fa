"""The shop's settings; what differs between deployments comes from the environment."""

from __future__ import annotations

import os
from pathlib import Path

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
USE_TZ = True
STATIC_URL = "static/"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(os.environ["SHOP_DATABASE"])}}
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

# The service tokens: from here on it is m2m-auth.

INVENTORY_URL = os.environ["INVENTORY_URL"]

INSTALLED_APPS += ["django_m2m_auth"]

M2M_AUTH = {
    "CLIENTS": {
        "inventory": {
            "TOKEN_ENDPOINT": os.environ["TOKEN_ENDPOINT"],
            "CLIENT_ID": "shop",
            "CLIENT_SECRET": os.environ["SHOP_SECRET"],
            "SCOPE": "stock:read",
            "RESOURCE": "https://inventory.example",
            "ALLOWED_ORIGINS": [INVENTORY_URL],
        }
    },
    # "disk:" is the default, too: the workers of this machine share the token. For several hosts: "redis://…".
    "CACHES": {"default": os.environ.get("TOKEN_CACHE", "disk:")},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "loggers": {"m2m_auth": {"handlers": ["console"], "level": "INFO"}},
}
