"""httpx and httpx2: how their requests are read and replayed, and how their clients drive the steps of a call."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Hashable, Mapping
from functools import partial
from typing import Any, ClassVar, cast

from ..errors import M2MAuthError, also_a
from ..oauth2.origins import Origin
from ..runtime.observers import observers
from .auth_flow import Sent
from .body_replay import is_seekable, position, rewind
from .front_door import FrontDoor
from .http_library import HttpLibrary
from .httpx_internals import body_of, files_of, parts_of
from .httpx_peek import apeek, peek
from .httpx_token_headers import dropped_with_authorization
from .steps import Effect, adrive, arun, drive, run

__all__ = ["HttpxFrontDoor", "HttpxLibrary"]


class HttpxLibrary(HttpLibrary):
    """The requests and responses of httpx or httpx2.

    Args:
        module: the library itself.
    """

    def __init__(self, module: Any) -> None:
        self.module = module
        self.name = module.__name__
        self.byte_stream = module.ByteStream

    def own_error(self, error: M2MAuthError, request: Any) -> M2MAuthError:
        """Also an ``HTTPError``."""
        return also_a(error, self.module.HTTPError, _request=request)

    def site(self, request: Any) -> Hashable:
        """The parsed parts of the URL that make its origin."""
        return parts_of(request.url)

    def target(self, request: Any) -> str:
        """Scheme, host and port only: the whole URL as a string may read differently (``https:////host``)."""
        url = request.url
        return f"{url.scheme}://{url.netloc.decode()}/"

    def start_of_body(self, request: Any) -> int | None:
        """Where the file stands that a synchronous client was given as ``content``."""
        stream = request.stream
        return position(body_of(stream)) if isinstance(stream, self.module.SyncByteStream) else None

    def status(self, response: Any) -> int:
        """Its ``status_code``."""
        status: int = response.status_code
        return status

    def read(self, response: Any) -> tuple[Mapping[str, str], Any]:
        """The headers and the last request."""
        return response.headers, response.request

    def replay(self, response: Any, start: int | None) -> Any | None:
        """A new request over the same stream."""
        sent = response.request
        stream = sent.stream
        in_memory = isinstance(stream, self.byte_stream)
        if not in_memory and not _rewound(stream, start):
            return None
        replay = self.module.Request(
            sent.method, sent.url, headers=sent.headers, stream=stream, extensions=sent.extensions
        )
        if in_memory:
            replay.read()  # so that event hooks find its content, as on any request
        return replay

    def put_header(self, request: Any, name: str, value: str) -> None:
        """Sets the header so that the client drops it where it drops Authorization: at a redirect to another origin."""
        request.headers = dropped_with_authorization(self.module.Headers, request.headers, name, value)

    def set_cookies(self, response: Any) -> list[str]:
        """Each header by itself."""
        values: list[str] = response.headers.get_list("set-cookie")
        return values

    def body(self, response: Any, *, streams: bool) -> bytes:  # noqa: ARG002 - httpx does not tell
        """The content if it has been read; else the first MiB of the stream, put back in front of the rest."""
        return peek(self.module, response)

    async def abody(self, response: Any) -> bytes:
        """The same for ``AsyncClient``."""
        return await apeek(self.module, response)

    def keep_history(self, second: Any, refused: tuple[Any, ...], first: Any) -> None:
        """In the place of ``first``, which the client has put there; its own history is lost by then."""
        second.history = [*refused, *(each for each in second.history if each is not first)]

    def close(self, response: Any) -> None:
        """The client reads a response before it sends another request; an emptied one has an end."""
        response.stream.close()
        response.stream = self.byte_stream(b"")

    async def aclose(self, response: Any) -> None:
        """The same for ``AsyncClient``."""
        await response.stream.aclose()
        response.stream = self.byte_stream(b"")

    def followed(self, response: Any) -> list[Any]:
        """The client follows redirects below its auth flow."""
        history: list[Any] = response.history
        return history

    def elapsed(self, response: Any) -> float:
        """As the client has measured it."""
        seconds: float = response.elapsed.total_seconds()
        return seconds


def _rewound(stream: Any, start: int | None) -> bool:
    files = files_of(stream)
    if files is None:
        return rewind(body_of(stream), start)
    # The library itself rewinds each file of a multipart form to its beginning.
    return all(isinstance(file, (str, bytes)) or is_seekable(file) for file in files)


class HttpxFrontDoor(FrontDoor):
    """What ``M2MAuth`` for httpx and for httpx2 have in common."""

    _library: ClassVar[HttpxLibrary]
    requires_request_body = False
    requires_response_body = False

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Called by ``Client`` for each call."""
        flow = self._flow
        held = self._engine.state.held
        site, origin = flow.latest
        try:
            # The short cut of most calls, as the steps would do it: a fresh token, to the origin of the latest call.
            if (
                held is not None
                and time.monotonic() < held.fresh_until
                and time.time() < held.fresh_until_wall
                and parts_of(request.url) == site
                and not observers
            ):
                request.headers["Authorization"] = held.authorization
                in_memory = type(request.stream) is self._library.byte_stream
                start = None if in_memory else self._library.start_of_body(request)
                response = yield request
                if flow.settles(response.status_code):
                    return
                steps = flow.answer(response, Sent(origin, held.token, start, None))
            else:
                origin = flow.origin(request)
                steps = flow.steps(request)
            yield from drive(steps)
        except GeneratorExit as ended:
            run(self._judge_failure(origin, ended.__context__))
            raise

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Called by ``AsyncClient`` for each call."""
        origin = self._flow.origin(request)
        return _Closing(adrive(self._flow.steps(request)), partial(self._judge_failure, origin))

    def _judge_failure(self, origin: Origin, error: BaseException | None) -> Generator[Effect, Any, None]:
        """The call ended without a response for the steps: an event hook may have raised for a refused token.

        There is no replay then, but the next call must not carry the same token.
        """
        if isinstance(error, self._library.module.HTTPStatusError):
            yield from self._flow.judge(cast("Any", error).response, origin)


class _Closing(AsyncGenerator[Any, Any]):
    """An auth flow that learns with which exception its client gives up; an async generator alone does not."""

    def __init__(
        self,
        flow: AsyncGenerator[Any, Any],
        on_close: Callable[[BaseException | None], Generator[Effect, Any, None]],
    ) -> None:
        self._flow = flow
        self._on_close = on_close

    def asend(self, value: Any) -> Any:
        return self._flow.asend(value)

    def athrow(self, *error: Any) -> Any:
        return self._flow.athrow(*error)

    async def aclose(self) -> None:
        await arun(self._on_close(sys.exc_info()[1]))
        await self._flow.aclose()
