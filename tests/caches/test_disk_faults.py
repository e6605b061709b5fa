"""No damage to the cache's folder fails a call; when the folder works again, processes share tokens again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from disk_damage import FAULTS, LASTING, noise
from disk_steps import run_python, source_on

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.errors import CacheUnavailable
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The cache folder."""
    return tmp_path / "cache"


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """A fake authorization server."""
    with FakeAuthorizationServer() as server:
        yield server


@pytest.mark.loopback
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("opened", [True, False], ids=["in use", "before use"])
def test_no_call_fails(
    folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None], opened: bool
) -> None:
    """Every call gets a token during the fault, in a process that has used the folder and in a new one."""
    clock = FakeClock()
    cache = DiskTokenCache(folder)
    source = TokenSource(server.token_endpoint, "client", "secret", cache=cache, clock=clock)
    if opened:
        source.token()
    else:
        other = DiskTokenCache(folder)
        other.set("key", b"value", 60)
        other.close()
    fault(folder)
    for _ in range(4):
        clock.advance(1000)  # past the breaker, and past a renewal
        assert server.is_active(source.token().value)
        server.is_active(source.renew().value)
    assert server.mints <= 9
    source.close()


def tried_twice(operation: Callable[..., object], *arguments: object) -> object:
    """The result of the first or the second attempt."""
    try:
        return operation(*arguments)
    except CacheUnavailable:
        return operation(*arguments)


@pytest.mark.loopback
@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in LASTING])
def test_sharing_works_again(folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None]) -> None:
    """After damage that a folder recovers from, at most one operation fails; then two sources share a token again."""
    first, second = DiskTokenCache(folder), DiskTokenCache(folder)
    first.set("key", b"value", 60)
    assert second.get("key") == b"value"
    fault(folder)
    for cache in (first, second):
        tried_twice(cache.set, "key", b"again", 60)
    tried_twice(first.set, "key", b"and again", 60)
    assert second.get("key") == b"and again"
    first.close()
    second.close()
    one = source_on(folder, server)
    assert source_on(folder, server).token() == one.token()
    assert server.mints == 1


def test_one_process_does_not_undo_anothers_fresh_start(folder: Path) -> None:
    """A process that notices the damage late does not rename the new database that others already use."""
    early, late = DiskTokenCache(folder), DiskTokenCache(folder)
    early.set("key", b"value", 60)
    assert late.get("key") == b"value"
    noise(folder)
    early.close()
    with pytest.raises(CacheUnavailable):
        early.get("key")
    early.set("key", b"fresh", 60)
    assert late.get("key") == b"fresh"
    assert early.get("key") == b"fresh"
    early.close()
    late.close()


@pytest.mark.processes
@pytest.mark.loopback
@pytest.mark.skipif(sys.version_info < (3, 13), reason="sqlite3 warns about unclosed connections since Python 3.13")
@pytest.mark.parametrize("fault", FAULTS)
def test_no_connection_is_left_open(
    folder: Path, server: FakeAuthorizationServer, fault: Callable[[Path], None]
) -> None:
    """There is no ResourceWarning before, during or after a fault, in threads or at the interpreter's end."""
    code = """if True:
        import gc, logging, sys
        logging.disable()
        sys.path[:0] = sys.argv[4:]
        import disk_damage
        from pathlib import Path
        from m2m_auth import TokenSource
        endpoint, folder, fault, *_ = sys.argv[1:]
        with TokenSource(endpoint, "client", "secret", cache=f"disk:{folder}") as source:
            source.token()
            getattr(disk_damage, fault)(Path(folder))
            source.renew()
            gc.collect()
            source.renew()
        gc.collect()
        print("done")
    """
    assert run_python(code, server.token_endpoint, folder, fault.__name__, *sys.path) == "done"
