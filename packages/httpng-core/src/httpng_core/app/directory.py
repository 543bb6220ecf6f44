"""Static files: a directory as a handler.

A file goes out in bounded pieces, each read when the one before it has found room in the send window: so a
client that is slow pins two pieces, however long the file is, and the positions count as for every write.
"""

import errno
import logging
from collections.abc import Callable, Generator
from dataclasses import dataclass
from math import inf
from typing import Any, Final
from urllib.parse import quote

from httpng_core.app.files import File, Files
from httpng_core.app.handlers import end_exchange
from httpng_core.app.runner import HandlerSteps, Runner
from httpng_core.config.sites import NOT_FOUND, path_bytes, resolved
from httpng_core.http.dates import http_date
from httpng_core.http.file_info import FileInfo
from httpng_core.http.media_types import content_type
from httpng_core.http.preconditions import Representation, Selected, representation, select
from httpng_core.http.request import Request
from httpng_core.http.response import Response
from httpng_core.sending.calls import Pending
from httpng_core.sending.exchange import Exchange

_log = logging.getLogger("httpng")

PIECE: Final = 65536
"""How much of a file is read at once."""
_WINDOW: Final = 2 * PIECE
_METHODS: Final = ("GET", "HEAD")
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_NOT_ALLOWED: Final = Response(
    status=405, headers={**_TEXT, "allow": ", ".join(_METHODS)}, body=b"method not allowed"
)
_FORBIDDEN: Final = Response(status=403, headers=_TEXT, body=b"forbidden")
_UNAVAILABLE: Final = Response(
    status=503, headers={**_TEXT, "retry-after": "1"}, body=b"the server has too much to do just now"
)
# Of descriptors, and of memory: it passes.
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
_REFUSALS: Final = {412: b"precondition failed", 416: b"range not satisfiable"}

_Headers = dict[str, str | int]


class DirectoryHandler:
    """Serves the files of a directory under the path of a site."""

    def __init__(
        self, path: str, directory: str, *, index: str | None = None, dotfiles: bool = False
    ) -> None:
        """Take what a `Site` says: its `path`, the absolute name of the `directory`, and the rest."""
        self._directory = directory
        self._prefix = path_bytes(path).rstrip(b"/")
        self._index = None if index is None else path_bytes(index)
        self._dotfiles = dotfiles

    def streams(self, request: Request, otherwise: bool) -> bool:
        """Return false: no body is of any use here."""
        return False

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Send the file that the request names."""
        if runner.files is None:
            error = RuntimeError("static files need a driver that reads them: httpng-asyncio or httpng-trio")
            end_exchange(exchange, error, runner.clock())
            return
        runner.spawn(
            self._answer(exchange, runner.files, runner.clock),
            lambda returned: end_exchange(exchange, returned, runner.clock()),
        )

    def names(self, target: str) -> list[bytes] | None:
        """Return what a request target names below the directory, by level; `None`: no file can be there.

        The last one is empty for a directory itself, which has a slash at its end.
        """
        names = resolved(target)[len(self._prefix) :].split(b"/")[1:]
        # A backslash separates levels on other systems, so somewhere on the way it may be taken for that.
        if not all(names[:-1]) or any(b"\0" in name or b"\\" in name for name in names):
            return None
        if not self._dotfiles and any(name.startswith(b".") for name in names):
            return None
        return names

    def _answer(self, exchange: Exchange, files: Files, clock: Callable[[], float]) -> HandlerSteps:
        request = exchange.request
        if request.method not in _METHODS:
            return _NOT_ALLOWED
        names = self.names(request.path)
        if names is None:
            return NOT_FOUND
        if names and names[-1]:
            returned = yield from self._send(exchange, files, names, clock)
            if returned is not NOT_FOUND or self._index is None:  # pragma: no branch - see `_open`
                return returned
            return (yield from self._redirect(exchange, files, names))
        if self._index is None:
            return NOT_FOUND
        if not names:
            # The site's own path without a slash: links of the page would lead beside it.
            return (yield from self._redirect(exchange, files, names))
        returned = yield from self._send(exchange, files, [*names[:-1], self._index], clock)
        return self._no_index() if returned is NOT_FOUND else returned

    def _send(
        self, exchange: Exchange, files: Files, names: list[bytes], clock: Callable[[], float]
    ) -> HandlerSteps:
        file = files(self._directory, names)
        try:
            return (yield from _send_file(exchange, file, names[-1], clock))
        finally:
            file.close()

    def _redirect(self, exchange: Exchange, files: Files, names: list[bytes]) -> HandlerSteps:
        """Send a client that has left out the slash of a directory with an index to where it is."""
        assert self._index is not None
        file = files(self._directory, [*names, self._index])
        try:
            refusal = yield from _open(exchange.request, file)
        finally:
            file.close()
        if refusal is not None:
            return refusal if names else self._no_index()  # pragma: no cover - see `_open`
        # From the names: what the client wrote might lead to another host, were it sent back.
        path = b"/".join([self._prefix, *names, b""])
        query = exchange.request.path.partition("?")[1:]
        return Response(
            status=301, headers={"location": quote(path, safe="/:@!$&'()*+,;=~") + "".join(query)}
        )

    def _no_index(self) -> Response:
        assert self._index is not None
        text = b"not found: there is no %s here, and directories are not listed" % self._index
        return Response(status=404, headers=_TEXT, body=text)


def _open(request: Request, file: File) -> Generator[Pending, Any, Response | None]:
    """Wait until a file is open; the answer if it can't be."""
    # Python 3.11 doesn't trace a generator that goes on as an error was thrown into one that it yields from:
    # what follows in those that call this is tested, and not seen to be.
    try:
        yield file.opening
    except FileNotFoundError:
        return NOT_FOUND
    except PermissionError:
        return _FORBIDDEN
    except OSError as error:
        if error.errno not in _EXHAUSTED:
            raise
        client = request.peer.host
        _log.error(
            "no file can be opened for %s %s of %s: %s", request.method, request.path, client, error.strerror
        )
        return _UNAVAILABLE
    return None


def _send_file(exchange: Exchange, file: File, name: bytes, clock: Callable[[], float]) -> HandlerSteps:
    refusal = yield from _open(exchange.request, file)
    if refusal is not None:
        return refusal  # pragma: no cover - see `_open`
    answer = _judge(exchange.request, file.info, name)
    if answer.response is not None:
        return answer.response
    yield from _send_body(exchange, file, answer, clock)
    return None


def _send_body(exchange: Exchange, file: File, answer: "_Answer", clock: Callable[[], float]) -> HandlerSteps:
    settings, part = exchange.settings, answer.selected
    # There is nothing to choose later in a file, so "auto" needs no path to be measured.
    allowed = settings.default_send_window
    window = _WINDOW if allowed == "auto" else min(allowed, _WINDOW)
    exchange.stall_timeout = settings.stall_timeout
    at = part.start
    while at < part.stop:
        read = file.read(at, min(PIECE, part.stop - at))
        yield read
        if exchange.head is None:
            # Not before: a disk that can't be read is answered with 500.
            exchange.write_header(part.status, answer.headers, clock(), inf)
        if not read.data:
            # The file has shrunk: what is missing from the declared length makes this an abort.
            return None
        at += len(read.data)
        write = exchange.write(read.data, clock(), inf, window, until="sent")
        if not write.settled:
            # A client that acknowledges is alive, even if the kernel takes nothing for longer than a stall.
            exchange.track_acknowledged()
        if (yield write) is not None:
            return None
    return None


@dataclass(frozen=True, slots=True)
class _Answer:
    """Which part of a file to send with which headers; or a response without any of it."""

    selected: Selected
    headers: _Headers
    response: Response | None = None


def _judge(request: Request, info: FileInfo, name: bytes) -> _Answer:
    found = representation(info)
    selected = select(request.method, request.headers, found)
    validators = _validators(found)
    status = selected.status
    if status in _REFUSALS:
        extent: _Headers = {"content-range": f"bytes */{info.size}"} if status == 416 else {}
        refusal = Response(status=status, headers={**_TEXT, **validators, **extent}, body=_REFUSALS[status])
        return _Answer(selected, {}, refusal)
    if status == 304:
        return _Answer(selected, {}, Response(status=304, headers=validators))
    headers: _Headers = {
        "content-type": content_type(name),
        "content-length": selected.stop - selected.start,
        **validators,
    }
    if status == 206:
        headers["content-range"] = f"bytes {selected.start}-{selected.stop - 1}/{info.size}"
    if request.method == "HEAD" or selected.start == selected.stop:
        return _Answer(selected, {}, Response(headers=headers))
    return _Answer(selected, headers)


def _validators(found: Representation) -> _Headers:
    validators: _Headers = {"etag": found.etag, "accept-ranges": "bytes"}
    if found.last_modified is not None:
        validators["last-modified"] = http_date(found.last_modified)
    return validators
