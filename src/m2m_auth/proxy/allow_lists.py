"""What a vendor may ask for (RFC 6749 §3.3, RFC 8707). It is checked before a source, a cache read or a mint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..serving.http_messages import ErrorAnswer
from .configuration.config import VendorConfig

__all__ = ["AllowedRequest", "allowed_request"]


class AllowedRequest(NamedTuple):
    """What to ask the authorization server for. Requests that mean the same are equal."""

    audience: str | None
    scopes: tuple[str, ...]
    """Sorted, each once."""
    resources: tuple[str, ...]
    """In the vendor's order, each once."""
    extra: tuple[tuple[str, str], ...]
    """Further parameters, sorted."""


def allowed_request(vendor: VendorConfig, parameters: Mapping[str, str], resources: Sequence[str]) -> AllowedRequest:
    """What this vendor asks for.

    Args:
        vendor: the vendor, with its allow-lists.
        parameters: the request's parameters.
        resources: the values of its parameter ``resource``.

    Raises:
        ErrorAnswer: the audience, a resource, a scope or a parameter's value is not allowed.
    """
    audience = parameters.get("audience", "")
    if audience not in (vendor.audiences or ("",)):
        problem = "This audience is not allowed" if audience else "The parameter audience is missing"
        raise ErrorAnswer(400, "invalid_target", f"{problem} for this client")
    if not set(resources) <= set(vendor.resources):
        raise ErrorAnswer(400, "invalid_target", "This resource is not allowed for this client")
    scopes = frozenset(parameters.get("scope", "").split(" ")) - {""}
    if not scopes <= set(vendor.scopes):
        raise ErrorAnswer(400, "invalid_scope", "This scope is not allowed for this client")
    if not scopes:
        scopes = frozenset(vendor.scopes if vendor.default_scopes is None else vendor.default_scopes)
    extra: list[tuple[str, str]] = []
    for name, values in vendor.extra_parameters.items():
        value = parameters.get(name)
        if value is not None and value not in values:
            raise ErrorAnswer(400, "invalid_request", "A parameter has a value that is not allowed for this client")
        if value is not None:
            extra.append((name, value))
    unique_resources = tuple(dict.fromkeys(resources))
    return AllowedRequest(audience or None, tuple(sorted(scopes)), unique_resources, tuple(sorted(extra)))
