"""Static files: a directory as a handler.

A file goes out in bounded pieces, each read when the one before it has found room in the send window: so a
client that is slow pins two pieces, however long the file is, and the positions count as for every write.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from httpng_core.app.files import File, FileInfo, Files
from httpng_core.app.handlers import end_exchange
from httpng_core.app.runner import HandlerSteps, Runner
from httpng_core.config.sites import NOT_FOUND, path_bytes, resolved
from httpng_core.http.dates import http_date
from httpng_core.http.media_types import content_type
from httpng_core.http.preconditions import Representation, Selected, select
from httpng_core.http.request import Request
from httpng_core.http.response import Response
from httpng_core.sending.exchange import Exchange

PIECE: Final = 65536
"""How much of a file is read at once."""
_WINDOW: Final = 2 * PIECE
_METHODS: Final = ("GET", "HEAD")
_TEXT: Final = {"content-type": "text/plain; charset=utf-8"}
_NOT_ALLOWED: Final = Response(
    status=405, headers={**_TEXT, "allow": ", ".join(_METHODS)}, body=b"method not allowed"
)
_FORBIDDEN: Final = Response(status=403, headers=_TEXT, body=b"forbidden")
_REFUSALS: Final = {412: b"precondition failed", 416: b"range not satisfiable"}

_Headers = dict[str, str | int]


class DirectoryHandler:
    """Serves the files of a directory under the path of a site."""

    def __init__(self, path: str, directory: str) -> None:
        """`path` is that of the site, `directory` an absolute name."""
        self._directory = directory
        self._prefix = path_bytes(path).rstrip(b"/")

    def start(self, exchange: Exchange, runner: Runner) -> None:
        """Sends the file that the request names."""
        if runner.files is None:
            error = RuntimeError("static files need a driver that reads them: httpng-asyncio or httpng-trio")
            end_exchange(exchange, error, runner.clock())
            return
        runner.spawn(
            self._answer(exchange, runner.files, runner.clock),
            lambda returned: end_exchange(exchange, returned, runner.clock()),
        )

    def names(self, target: str) -> list[bytes] | None:
        """What a request target names below the directory, level by level; `None`: no file can be there."""
        names = resolved(target)[len(self._prefix) :].split(b"/")[1:]
        # A backslash separates levels on other systems, so somewhere on the way it may be taken for that.
        if not all(names) or any(b"\0" in name or b"\\" in name for name in names):
            return None
        return names or None

    def _answer(self, exchange: Exchange, files: Files, clock: Callable[[], float]) -> HandlerSteps:
        request = exchange.request
        if request.method not in _METHODS:
            return _NOT_ALLOWED
        names = self.names(request.path)
        if names is None:
            return NOT_FOUND
        file = files.open(self._directory, names)
        try:
            return (yield from _send_file(exchange, file, names[-1], clock))
        finally:
            file.close()


def _send_file(exchange: Exchange, file: File, name: bytes, clock: Callable[[], float]) -> HandlerSteps:
    try:
        yield file.opening
    except FileNotFoundError:
        return NOT_FOUND
    except PermissionError:
        return _FORBIDDEN
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
    modified = info.mtime_ns // 1_000_000_000
    # A Last-Modified in the future says nothing (RFC 9110, 8.8.2.1); nor does one before 1970.
    known = modified if 0 <= modified <= info.opened_at else None
    found = Representation(info.size, f'"{info.mtime_ns:x}-{info.size:x}"', known)
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
    if found.modified is not None:
        validators["last-modified"] = http_date(found.modified)
    return validators
