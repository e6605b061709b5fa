"""Where a request comes from, behind proxies of one's own."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from .http_messages import Request

__all__ = ["client_address"]


def client_address(request: Request, trusted_proxies: int) -> str:
    """The client's IP address; '' where it cannot be told.

    Args:
        request: the request.
        trusted_proxies: how many proxies of your own stand in front, each of which appends the address that it saw to
            ``X-Forwarded-For``. 0: none, and the header is not read. The addresses are counted from the right: what
            stands further left was written by the client.
    """
    if trusted_proxies <= 0:
        return _ip(request.address)
    hops = request.headers.get("x-forwarded-for", "").split(",")
    # Fewer hops than proxies: the request came in past one of them, so the header is not to be believed.
    return _ip(hops[-trusted_proxies] if trusted_proxies <= len(hops) else request.address)


def _ip(text: str) -> str:
    """The address in one spelling, without port and zone, an IPv4 address never mapped into IPv6; '' for none."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str((isinstance(address, IPv6Address) and address.ipv4_mapped) or address)
