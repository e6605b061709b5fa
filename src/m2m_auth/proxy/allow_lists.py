"""What a vendor may ask for (RFC 6749 §3.3, RFC 8707): checked before there is a source, a cache read or a mint."""

from __future__ import annotations

from .configuration.config import VendorConfig
from .responses import Refused
from .token_requests import Asked
from .vendor_sources import Wanted

__all__ = ["allowed"]


def allowed(vendor: VendorConfig, asked: Asked) -> Wanted:
    """What to ask the authorization server for.

    Raises:
        Refused: the audience, a resource or a scope is not on the vendor's list.
    """
    audience = asked.parameters.get("audience", "")
    if audience not in (vendor.audiences or ("",)):
        what = "This audience is not allowed" if audience else "The parameter audience is missing"
        raise Refused(400, "invalid_target", f"{what} for this client")
    if not set(asked.resources) <= set(vendor.resources):
        raise Refused(400, "invalid_target", "This resource is not allowed for this client")
    scopes = frozenset(asked.parameters.get("scope", "").split(" ")) - {""}
    if not scopes <= set(vendor.scopes):
        raise Refused(400, "invalid_scope", "This scope is not allowed for this client")
    if not scopes:
        scopes = frozenset(vendor.scopes if vendor.default_scopes is None else vendor.default_scopes)
    extra: list[tuple[str, str]] = []
    for name, values in vendor.extra_parameters.items():
        value = asked.parameters.get(name)
        if value is not None and value not in values:
            raise Refused(400, "invalid_request", "A parameter has a value that is not allowed for this client")
        if value is not None:
            extra.append((name, value))
    return Wanted(audience or None, tuple(sorted(scopes)), tuple(dict.fromkeys(asked.resources)), tuple(sorted(extra)))
