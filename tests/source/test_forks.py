"""A forked child works: during a flight, with a held token, under gunicorn --preload, and with a busy cache."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine_steps import run_python
from real_servers.gunicorns import ask, gunicorn

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.processes

START = """if True:
    import faulthandler, os, signal, sys, threading, time, warnings
    faulthandler.register(signal.SIGUSR1)
    from m2m_auth import TokenSource
    from m2m_auth.source.token_source import engine_of
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
    endpoint, cache = sys.argv[1], sys.argv[2] or None
    source = TokenSource(endpoint, "client", "secret", cache=cache)
    def in_child(action):
        child = os.fork()
        if child == 0:
            try:
                action()
            except BaseException as error:
                os.write(2, repr(error).encode())
                faulthandler.dump_traceback(2)
                os._exit(1)
            os._exit(0)
        return child
    def check(child):
        until = time.monotonic() + 15
        while time.monotonic() < until:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                assert status == 0, status
                return
            time.sleep(0.01)
        os.kill(child, signal.SIGUSR1)  # where it hangs
        time.sleep(0.5)
        os.kill(child, 9)
        raise AssertionError("the child hangs")
"""


def script(body: str) -> str:
    """The body after START, which is indented as it is."""
    return START + "\n".join("    " + line for line in body.splitlines())


@pytest.fixture(params=["memory", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """No cache, or a disk cache."""
    return "" if request.param == "memory" else f"disk:{tmp_path / 'cache'}"


@pytest.mark.parametrize("library", ["requests", "httpx"])
def test_fork_during_a_mint(server: FakeAuthorizationServer, cache: str, library: str) -> None:
    """The fork waits a moment for the flight to land, so the child starts with its token: one mint."""
    server.latency = 0.3
    body = f"""
import {library}
caller = threading.Thread(target=source.token)
caller.start()
while engine_of(source).state.flight is None: time.sleep(0.001)
time.sleep(0.1)
child = in_child(lambda: source.token().value)
print(len(source.token().value) > 0)
caller.join()
check(child)
"""
    assert run_python(script(body), server.token_endpoint, cache) == "True"
    assert server.mints == 1


def test_fork_while_the_secret_is_fetched(server: FakeAuthorizationServer, cache: str) -> None:
    """A child forked during the very first flight, whose key is not known yet, fetches the secret for itself."""
    body = """
fetched = []
def secret():
    fetched.append(1)
    time.sleep(3 if len(fetched) == 1 else 0)  # longer than a fork waits for flights
    return "secret"
source = TokenSource(endpoint, "client", secret, cache=cache)
caller = threading.Thread(target=source.token)
caller.start()
while not fetched: time.sleep(0.001)
check(in_child(source.token))
caller.join()
print(len(fetched))
"""
    assert run_python(script(body), server.token_endpoint, cache) == "1"


def test_fork_while_a_flight_imports(server: FakeAuthorizationServer, tmp_path: Path) -> None:
    """The secret's callable imports a library on its first call: a child forked meanwhile finds that library whole."""
    (tmp_path / "slow_vault.py").write_text("import time; time.sleep(3); SECRET = 'secret'")
    body = f"""
sys.path.insert(0, {str(tmp_path)!r})
def secret():
    import slow_vault
    return slow_vault.SECRET
source = TokenSource(endpoint, "client", secret, cache=cache)
caller = threading.Thread(target=source.token)
caller.start()
while "slow_vault" not in sys.modules: time.sleep(0.001)
check(in_child(source.token))
caller.join()
print("done")
"""
    assert run_python(script(body), server.token_endpoint, "") == "done"


def test_fork_at_every_moment_of_a_flight(server: FakeAuthorizationServer, cache: str) -> None:
    """15 forks spread over flights, imports and disk operations included: every child gets a token."""
    server.latency = 0.02
    body = """
children = []
def ask():
    for _ in range(15):
        source.renew()
        time.sleep(0.02)
caller = threading.Thread(target=ask)
caller.start()
for number in range(15):
    time.sleep(0.007 * (number % 5))
    children.append(in_child(lambda: (source.token(), source.renew())))
for child in children: check(child)
caller.join()
print("done")
"""
    assert run_python(script(body), server.token_endpoint, cache, timeout=90) == "done"


def test_fork_while_a_lock_is_held(server: FakeAuthorizationServer) -> None:
    """Another thread of the parent holds the state's and the registry's lock: the child has new ones."""
    body = """
from m2m_auth.source.registry import _registry
from m2m_auth.source.token_source import engine_of
held, over = threading.Event(), threading.Event()
def hold():
    with engine_of(source).state.lock, _registry._lock.current:
        held.set()
        over.wait()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = in_child(lambda: (source.token(), TokenSource(endpoint, "client", "secret").token(), source.renew()))
check(child)
over.set()
holder.join()
source.token()
print("done")
"""
    assert run_python(script(body), server.token_endpoint, "") == "done"


def test_children_start_with_the_parents_token(server: FakeAuthorizationServer, cache: str) -> None:
    """A token that was held before the fork is held after it: four children, no further mint."""
    body = """
value = source.token().value
def same(): assert source.token().value == value
for child in [in_child(same) for _ in range(4)]: check(child)
print("done")
"""
    assert run_python(script(body), server.token_endpoint, cache) == "done"
    assert server.mints == 1


def test_multiprocessing_fork(server: FakeAuthorizationServer, cache: str) -> None:
    """Workers of a forked pool renew and share; the parent goes on afterwards."""
    body = """
import multiprocessing
source.token()
def renewed(_): return source.renew().value
with multiprocessing.get_context("fork").Pool(3) as pool:
    tokens = pool.map(renewed, range(6), chunksize=1)
    pool.close()
    pool.join()
print(len({*tokens, source.renew().value}))
"""
    assert 2 <= int(run_python(script(body), server.token_endpoint, cache)) <= 7


APP = """
import os, threading
import m2m_auth.requests
import requests
auth = m2m_auth.requests.M2MAuth(os.environ["ENDPOINT"], "client", "secret", cache=os.environ["CACHE"] or None)
if os.environ["WHEN"] == "during":
    threading.Thread(target=auth.source.token, daemon=True).start()
elif os.environ["WHEN"] == "before":
    auth.source.token()

def app(environ, start_response):
    response = requests.get(os.environ["API"], auth=auth, timeout=20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {response.status_code}".encode()]
"""


def test_a_child_starts_clean_once(server: FakeAuthorizationServer) -> None:
    """A target that starts again in a child may use locks and caches at once: the child starts clean only once."""
    body = """
from m2m_auth.runtime.fork_safety import delaying_forks, on_fork
class Starts:
    times = 0
    def after_fork(self):
        with delaying_forks(): self.times += 1
starts = Starts()
on_fork(starts, last=True)
def counted():
    with delaying_forks(): assert starts.times == 1, starts.times
check(in_child(counted))
print("done")
"""
    assert run_python(script(body), server.token_endpoint, "") == "done"


@pytest.mark.parametrize("when", ["before", "during", "after"])
def test_gunicorn_preload(server: FakeAuthorizationServer, cache: str, when: str, tmp_path: Path) -> None:
    """Under --preload the source is built in the master; workers answer, whenever the first token was asked for."""
    server.latency = 0.3
    (tmp_path / "preloaded.py").write_text(APP)
    own = {"ENDPOINT": server.token_endpoint, "API": server.base_url + "/api/x", "CACHE": cache, "WHEN": when}
    options = ("--preload", "--workers=2")
    with gunicorn("preloaded:app", tmp_path / "log", *options, environment=own, folder=tmp_path) as address:
        answers = [ask(address) for _ in range(8)]
    assert {status for _, status in answers} == {"200"}
    assert server.mints <= (1 if cache else 3)


FIRST_SOURCE = """if True:
    import os, signal, sys, threading, time
    from m2m_auth import TokenSource
    sys.unraisablehook = lambda args: print("a hook failed:", args.exc_value)
    def build():
        TokenSource("https://tenant.example/oauth/token", "client", "secret")
    builder = threading.Thread(target=build)
    builder.start()
    while sys.argv[1] not in sys.modules and builder.is_alive():
        time.sleep(0)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is killed
        build()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    builder.join()
    print("done")
"""


@pytest.mark.parametrize("module", ["m2m_auth.source.construction", "requests", "requests.adapters"])
def test_fork_while_the_first_source_is_built(module: str) -> None:
    """A thread has begun to import this module for the first source: a fork waits for it, and no hook fails."""
    assert run_python(FIRST_SOURCE, module) == "done"
