"""No table: a name on which the permissions for the admin page "Service tokens" hang."""

from __future__ import annotations

from typing import Any

from django.db import models

__all__ = ["ServiceToken"]


class _Nothing(models.Manager):  # type: ignore[misc] # Django has no types
    """There is no table to ask, not even for dumpdata."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class ServiceToken(models.Model):  # type: ignore[misc] # Django has no types
    """Permissions: ``m2m_auth.view_servicetoken`` to look, ``m2m_auth.change_servicetoken`` to renew and clear."""

    objects = _Nothing()

    class Meta:
        """Tokens live in the caches, sealed; never in a table."""

        managed = False
        default_permissions = ("view", "change")
        verbose_name = "service token"
        verbose_name_plural = "service tokens"

    def __str__(self) -> str:
        return "service tokens"
