"""The IP address of a client that sits behind trusted reverse proxies."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

from .http_messages import Request

__all__ = ["client_address"]


def client_address(request: Request, trusted_proxies: int) -> str:
    """The client's IP address; '' if there is none.

    Args:
        request: the request.
        trusted_proxies: the number of reverse proxies in front of the service. Each one appends the address of its own
            peer to ``X-Forwarded-For``. The entries are counted from the right, because the client can write anything
            further left. With 0 the header is not read.
    """
    if trusted_proxies <= 0:
        return _ip(request.address)
    hops = request.headers.get("x-forwarded-for", "").split(",")
    # Fewer entries than proxies: the request bypassed a proxy, so the header proves nothing.
    return _ip(hops[-trusted_proxies] if trusted_proxies <= len(hops) else request.address)


def _ip(text: str) -> str:
    """The address in its normal form, without port and zone, IPv4-mapped IPv6 as IPv4; '' if it is no address."""
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
