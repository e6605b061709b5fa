"""SIGSTOP of the lease holder past its lease: another process takes over, and the late one does no harm."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from fault_processes import Child, source_on

from m2m_auth.caches.disk.disk_token_cache import DiskTokenCache
from m2m_auth.testing import FakeAuthorizationServer


def stopped_holder(server: FakeAuthorizationServer, folder: Path, children: list[Child], point: str) -> Child:
    """A process that has taken the lease, has come to ``point`` of its mint, and has been stopped by a signal."""
    holder = Child(server, folder, point)
    children.append(holder)
    holder.hear("ready")
    holder.tell("token")
    holder.hear("stopped")
    holder.signal(signal.SIGSTOP)
    return holder


@pytest.mark.parametrize("point", ["mint.mint.1.after", "get.t.3.before"])
def test_late_holder_keeps_the_newer_token(
    server: FakeAuthorizationServer, folder: Path, children: list[Child], point: str
) -> None:
    """The late holder has its own, older token: the shared one stays, and the holder uses its own, which is good."""
    holder = stopped_holder(server, folder, children, point)
    other = source_on(server, folder)
    newer = other.token().value
    holder.signal(signal.SIGCONT)
    holder.tell("go on")
    assert server.is_active(holder.hear("token"))
    other.close()
    third = Child(server, folder)
    children.append(third)
    third.hear("ready")
    third.tell("token")
    assert third.hear("token") == newer
    assert server.mints == 2


def test_late_holder_leaves_the_others_lease(
    server: FakeAuthorizationServer, folder: Path, children: list[Child]
) -> None:
    """The late holder lands while its successor still mints: the successor's lease stays."""
    holder = stopped_holder(server, folder, children, "mint.mint.1.after")
    successor = Child(server, folder, "won.l.1.after")
    children.append(successor)
    successor.hear("ready")
    cache = DiskTokenCache(folder)
    successor.tell("token")
    lease = successor.hear("stopped")
    owner = cache.get(lease)
    assert owner
    holder.signal(signal.SIGCONT)
    holder.tell("go on")
    first = holder.hear("token")
    assert cache.get(lease) == owner
    successor.tell("go on")
    assert server.is_active(successor.hear("token"))
    assert server.is_active(first)
    cache.close()


def test_late_holder_whose_mint_failed(server: FakeAuthorizationServer, folder: Path, children: list[Child]) -> None:
    """Its request has timed out when it goes on: it takes the token that another process has shared meanwhile."""
    server.fail("hang", times=1)
    holder = Child(server, folder)
    children.append(holder)
    holder.hear("ready")
    holder.tell("token")
    server.wait_for_token_requests(1)
    holder.signal(signal.SIGSTOP)
    other = source_on(server, folder)
    newer = other.token().value
    holder.signal(signal.SIGCONT)
    assert holder.hear("token") == newer
    assert server.mints == 1
    other.close()
