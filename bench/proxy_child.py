"""The processes that proxy.py measures: ``serve constant|proxy|guessed FOLDER``, ``memory`` and ``times``."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import os
import resource
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory
from typing import Any

from m2m_auth.oauth2.transport import HttpRequest, HttpResponse
from m2m_auth.proxy import ProxyConfig, TokenProxy, UpstreamConfig, VendorConfig
from m2m_auth.serving import Request, wsgi

THREADS = 8
BODIES = 10_000
ENTRIES = 1000
REQUESTS = 200_000
ATTEMPTS = 4000
GUESSED = {"failures_per_minute": 1_000_000, "secret_attempts_per_minute": 1}
GOOD = "Basic " + base64.b64encode(b"vendor:secret").decode()
FORM = "application/x-www-form-urlencoded"


def mint(request: HttpRequest) -> HttpResponse:
    """An authorization server without a network: what is measured is the proxy."""
    if dict(request.headers)["Authorization"] != GOOD:
        return HttpResponse(401, {"content-type": "application/json"}, b'{"error": "invalid_client"}')
    token = {"access_token": secrets.token_urlsafe(400), "token_type": "Bearer", "expires_in": 86_400}
    return HttpResponse(200, {"content-type": "application/json"}, json.dumps(token).encode())


def proxy(cache: str, audiences: Iterable[str] = ("",), **more: Any) -> TokenProxy:
    upstreams = {"main": UpstreamConfig(token_endpoint="https://tenant.bench.example/oauth/token")}
    vendors = {"vendor": VendorConfig(audiences=tuple(audiences), scopes=("read",))}
    config = ProxyConfig(upstreams=upstreams, vendors=vendors, pepper=secrets.token_urlsafe(), cache=cache, **more)
    return TokenProxy(config, transport=mint)


def body(audience: str = "") -> bytes:
    form = f"grant_type=client_credentials&client_id=vendor&client_secret=secret&scope=read&audience={audience}"
    return form.encode()


def token_request(form: bytes) -> Request:
    """A request as a server hands it over."""
    return Request(
        method="POST",
        path="/oauth/token",
        query="",
        headers={"content-type": FORM},
        body=form,
        too_large=False,
        address="127.0.0.1",
        scheme="http",
    )


def app(what: str, folder: str) -> Any:
    """``proxy``; ``guessed``, a proxy without limits on guesses; or ``constant``, the proxy's answer each time."""
    real = wsgi(proxy(f"disk:{folder}/cache", **(GUESSED if what == "guessed" else {})))
    return constant(*answered(real, body())) if what == "constant" else real


def serve(what: str, folder: str) -> None:
    """Serves one of them on waitress, until stdin ends."""
    from waitress.server import create_server

    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # as the command does
    server = create_server(app(what, folder), listen="127.0.0.1:0", threads=THREADS)
    print(f"Listening at: http://127.0.0.1:{server.effective_port} ", flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    server.run()


def answered(application: Any, form: bytes) -> tuple[str, list[tuple[str, str]], bytes]:
    """One request through a WSGI application."""
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/oauth/token",
        "QUERY_STRING": "",
        "SERVER_NAME": "bench",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": FORM,
        "CONTENT_LENGTH": str(len(form)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(form),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    begun: list[Any] = []
    content = b"".join(application(environ, lambda status, headers, exc_info=None: begun.extend((status, headers))))
    if not begun[0].startswith("200"):
        raise RuntimeError(f"{begun[0]}: {content.decode()}")
    return begun[0], begun[1], content


def constant(status: str, headers: list[tuple[str, str]], content: bytes) -> Callable[..., Iterable[bytes]]:
    """An application that always gives the proxy's answer."""

    def application(environ: Any, start_response: Any) -> Iterable[bytes]:
        start_response(status, headers)
        return [content]

    return application


def memory() -> None:
    """Resident memory after each 20,000 requests; the bodies ask for one of 10,000 audiences, most for a few."""
    import random

    chance = random.Random(1)
    names = [f"https://api{number}.example" for number in range(BODIES)]
    with TemporaryDirectory(prefix="m2m-bench-") as folder:
        service = proxy(f"disk:{folder}/cache", names, max_entries=ENTRIES)
        application = wsgi(service)
        found = []
        for number in range(REQUESTS):
            # The first pass takes each once; then 95 of 100 requests are for the first 500, as in production.
            few = number >= BODIES and chance.random() < 0.95
            answered(application, body(names[chance.randrange(500) if few else number % BODIES]))
            if number % 20_000 == 19_999:
                gc.collect()
                found.append(resident())
        print(json.dumps({"megabytes": found, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        service.close()


def resident() -> float:
    """Megabytes of this process."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() / 1048576


def times() -> None:
    """Seconds of each refusal: a wrong secret and an unknown client, in no order."""
    service = proxy("memory:", **GUESSED)
    wrong: list[float] = []
    unknown: list[float] = []
    for number in range(2 * ATTEMPTS + 200):
        client, kind = ("stranger", unknown) if secrets.randbelow(2) else ("vendor", wrong)
        form = f"grant_type=client_credentials&client_id={client}&client_secret={secrets.token_hex(16)}"
        request = token_request(form.encode())
        begin = time.perf_counter()
        answer = service.answer(request)
        took = time.perf_counter() - begin
        if answer.status not in (401, 429):
            raise RuntimeError(f"{answer.status} for a wrong secret")
        if number >= 200:
            kind.append(took)
    print(json.dumps({"wrong": wrong, "unknown": unknown}))


if __name__ == "__main__":
    logging.getLogger("m2m_auth").addHandler(logging.NullHandler())  # it logs the secrets that are refused here
    {"serve": serve, "memory": memory, "times": times}[sys.argv[1]](*sys.argv[2:])
