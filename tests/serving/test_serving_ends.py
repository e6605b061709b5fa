"""The WSGI and ASGI applications of a service behind real servers, and the client's address."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from hypothesis import given
from hypothesis import strategies as st
from real_servers.gunicorns import gunicorn
from serving_contract import MAX_BODY, Echo, ServingContract, echo_at, send
from serving_servers import by_uvicorn, by_waitress

from m2m_auth.serving import Answer, Request, asgi, client_address, wsgi

HERE = Path(__file__).parent.parent / "support"


@pytest.fixture(scope="module")
def on_waitress() -> Iterator[str]:
    """The service at ``/at``, mounted as WSGI does it."""
    with by_waitress(echo_at()) as url:
        yield url


@pytest.mark.loopback
class TestWsgi(ServingContract):
    """On waitress."""

    @pytest.fixture
    def base_url(self, on_waitress: str) -> str:
        """The service's URL."""
        return on_waitress


@pytest.fixture(scope="module")
def on_gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same on gunicorn, which passes on chunked bodies and all headers."""
    log = tmp_path_factory.mktemp("gunicorn") / "log"
    with gunicorn("serving_contract:echo_at()", log, "--threads=4", environment={}, folder=HERE) as url:
        yield url


@pytest.mark.processes
class TestGunicorn(ServingContract):
    """On gunicorn."""

    @pytest.fixture
    def base_url(self, on_gunicorn: str) -> str:
        """The service's URL."""
        return on_gunicorn


@pytest.fixture(scope="module")
def on_uvicorn() -> Iterator[str]:
    """Mounted at ``/at`` the way Starlette does: the path stays whole, root_path says what to leave out."""
    app = asgi(Echo(), max_body=MAX_BODY)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        """Adds the place to the scope."""
        if scope["type"] == "http":
            scope = {**scope, "root_path": "/at"}
        await app(scope, receive, send)

    with by_uvicorn(mounted) as url:
        yield url


@pytest.mark.loopback
class TestAsgi(ServingContract):
    """On uvicorn, with its lifespan on."""

    @pytest.fixture
    def base_url(self, on_uvicorn: str) -> str:
        """The service's URL."""
        return on_uvicorn


@pytest.mark.loopback
def test_an_asgi_service_blocks_no_loop() -> None:
    """Two requests that wait for each other are both answered: the service runs in threads."""
    both = threading.Barrier(2)

    class Meeting:
        """Answers when two requests are under way."""

        def answer(self, request: Request, /) -> Answer:
            both.wait(30)
            return Answer.json(200, {})

    with by_uvicorn(asgi(Meeting())) as url:
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(send(url, "POST / HTTP/1.1\nContent-Length: 0").status))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert statuses == [200, 200]


def test_a_slow_service_leaves_the_applications_threads_alone() -> None:
    """With the largest number of requests under way, anyio's default threads are all free for other endpoints. One more
    request waits for a free thread. A second event loop has its own threads.
    """
    inside, leave = threading.Semaphore(0), threading.Event()

    class Slow:
        """Answers after the test releases it."""

        def answer(self, request: Request, /) -> Answer:
            inside.release()
            leave.wait(30)
            return Answer.json(200, {})

    app = asgi(Slow(), threads=2)

    async def scenario() -> list[int]:
        statuses: list[int] = []

        async def one() -> None:
            async def receive() -> Any:
                return {"type": "http.request"}

            async def send(message: Any) -> None:
                if "status" in message:
                    statuses.append(message["status"])

            await app({"type": "http", "method": "POST", "path": "/", "headers": []}, receive, send)

        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(one)
            for _ in range(2):
                await anyio.to_thread.run_sync(inside.acquire)
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            assert not inside.acquire(blocking=False)
            leave.set()
        return statuses

    for _ in range(2):
        assert anyio.run(scenario) == [200, 200, 200]
        leave.clear()
        while inside.acquire(blocking=False):
            pass


class Endless:
    """A stream that must not be read without a limit."""

    def read(self, size: int) -> bytes:
        """So many bytes."""
        assert 0 <= size <= MAX_BODY + 1
        return b"x" * size


def test_a_stream_that_does_not_end_is_read_to_the_limit_only() -> None:
    """Gunicorn passes on chunks without a length: reading stops at the limit, and ``too_large`` is True."""
    environ = {"REQUEST_METHOD": "POST", "wsgi.input": Endless(), "wsgi.input_terminated": True}
    body = b"".join(wsgi(Echo(), max_body=MAX_BODY)(environ, lambda status, headers: None))
    asked = json.loads(body)
    assert (asked["body"], asked["too_large"]) == ("", True)


def test_zeros_before_a_length_make_it_no_shorter() -> None:
    """``Content-Length: 000…05000`` is 5,000 bytes, and that number is compared with the limit."""
    for zeros in [0, 1, 30]:
        for size, too_large in ((MAX_BODY, False), (MAX_BODY + 1, True), (10**40, True)):
            environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": "0" * zeros + str(size), "wsgi.input": Endless()}
            asked = json.loads(b"".join(wsgi(Echo(), max_body=MAX_BODY)(environ, lambda status, headers: None)))
            assert asked["too_large"] == too_large, size


def test_a_length_that_is_no_number_reads_nothing() -> None:
    """A malformed Content-Length that a server lets pass does not make the service wait for a body."""
    answered: list[str] = []
    lengths = ["-1", "1e3", "٣", "0x10", " 5", "9" * 30]
    for length in lengths:
        environ = {"REQUEST_METHOD": "POST", "CONTENT_LENGTH": length, "wsgi.input": Endless()}
        body = b"".join(wsgi(Echo(), max_body=MAX_BODY)(environ, lambda status, headers: answered.append(status)))
        assert b'"body": ""' in body, length
    assert answered == ["200 OK"] * len(lengths)


def test_reprs_show_no_content() -> None:
    """Their reprs land in logs and error reports: no header, no body, no query."""
    request = Request(
        method="POST",
        path="/p",
        query="q=canary",
        headers={"authorization": "canary"},
        body=b"canary",
        too_large=False,
        address="canary",
        scheme="https",
    )
    assert "canary" not in f"{request!r} {request} {Answer.json(200, {'access_token': 'canary'})!r}"


@given(
    st.lists(st.ip_addresses().map(str), max_size=3),
    st.ip_addresses().map(str),
    st.lists(st.sampled_from(["6.6.6.6", "unknown", "", "::1", "a, b"]), max_size=3),
)
def test_what_a_client_writes_never_decides_its_address(hops: list[str], client: str, written: list[str]) -> None:
    """Behind n proxies that each append an address, the result is the client's address, whatever the client wrote."""
    seen = [*written, client, *hops]
    with_header = request_from(hops[-1] if hops else client, ", ".join(seen[:-1] if hops else written))
    assert client_address(with_header, len(hops)) == client_address(request_from(client, ""), 0)


def request_from(peer: str, forwarded: str) -> Request:
    """A request of this peer with this X-Forwarded-For."""
    return Request(
        method="POST",
        path="",
        query="",
        headers={"x-forwarded-for": forwarded},
        body=b"",
        too_large=False,
        address=peer,
        scheme="https",
    )
