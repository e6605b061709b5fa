"""The Django application: registers the checks and the reset. No I/O and no thread."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.core.signals import setting_changed

from .clients import m2m

__all__ = ["DjangoM2MAuthConfig"]


class DjangoM2MAuthConfig(AppConfig):  # type: ignore[misc] # Django has no types
    """``INSTALLED_APPS += ["django_m2m_auth"]``."""

    name = "django_m2m_auth"
    label = "m2m_auth"
    verbose_name = "Service tokens"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Registers the checks, and the reset after a change of the settings."""
        from .checks import check_deployment, check_settings

        checks.register(check_settings, "m2m_auth")
        checks.register(check_deployment, "m2m_auth", deploy=True)
        setting_changed.connect(_reset, dispatch_uid="m2m_auth.reset")


def _reset(*, setting: str, **_: Any) -> None:
    if setting in ("M2M_AUTH", "CACHES"):
        m2m.reset()
