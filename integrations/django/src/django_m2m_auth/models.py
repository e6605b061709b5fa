"""A model without a table: it carries the permissions for the admin page "Service tokens"."""

from __future__ import annotations

from typing import Any

from django.db import models

__all__ = ["ServiceToken"]


class _EmptyManager(models.Manager):  # type: ignore[misc] # Django has no types
    """Finds nothing, without a query. dumpdata asks it too, and there is no table."""

    def get_queryset(self) -> Any:
        return super().get_queryset().none()


class ServiceToken(models.Model):  # type: ignore[misc] # Django has no types
    """Permissions: ``m2m_auth.view_servicetoken`` to view, ``m2m_auth.change_servicetoken`` to renew and clear."""

    objects = _EmptyManager()

    class Meta:
        """Tokens live in the caches, sealed. They have no table of their own."""

        managed = False
        default_permissions = ("view", "change")
        verbose_name = "service token"
        verbose_name_plural = "service tokens"

    def __str__(self) -> str:
        return "service tokens"
