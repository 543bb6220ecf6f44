"""Server-sent events as bytes (WHATWG HTML, 9.2): what browsers' `EventSource` reads."""

import re

_LINE_END = re.compile(rb"\r\n|\n|\r")
_NO_LINE = re.compile("[\r\n\0]")


def sse_headers() -> dict[str, str]:
    """Return the headers of a response that is a stream of events, as a fresh dict.

    Nothing may store it, and nginx is told not to buffer it (`X-Accel-Buffering: no`).
    """
    return {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
    }


def sse_event(
    data: str | bytes | None = None,
    *,
    event: str | None = None,
    id: str | int | None = None,
    retry: int | None = None,
    comment: str | None = None,
) -> bytes:
    r"""Return one event, or what stands between two, as bytes for `io.write` or `feed.publish`.

    A client acts on an event only if it has `data`; `id` and `retry` count without, and a comment is ignored.

    Args:
        data: what the client gets; each line goes in a field of its own, `""` is an event with nothing in it.
        event: its type, `None`: "message".
        id: what a client that comes back sends as `Last-Event-ID`; `""` has it send none.
        retry: milliseconds that a client waits before it comes back.
        comment: for nobody, so that the stream isn't idle; it may have several lines.

    Raises:
        TypeError: an argument of another type.
        ValueError: nothing was given; a line end in `event` or `id`, or a NUL there; a negative `retry`.
    """
    lines: list[bytes] = []
    if comment is not None:
        lines += (b": " + line for line in _LINE_END.split(_text("comment", comment)))
    if event is not None:
        lines.append(b"event: " + _one_line("event", event))
    if id is not None:
        lines.append(b"id: " + _one_line("id", str(id) if type(id) is int else id))
    if retry is not None:
        lines.append(b"retry: %d" % _milliseconds(retry))
    if data is not None:
        body = data if isinstance(data, bytes) else _text("data", data)
        lines += (b"data: " + line for line in _LINE_END.split(body))
    if not lines:
        raise ValueError("an event needs data, or an event, an id, a retry or a comment")
    lines += (b"", b"")
    return b"\n".join(lines)


def _text(name: str, given: object) -> bytes:
    if not isinstance(given, str):
        wanted = "str or bytes" if name == "data" else "str or int" if name == "id" else "str"
        raise TypeError(f"{name} must be {wanted}, not {given!r:.80}")
    return given.encode()


def _one_line(name: str, given: object) -> bytes:
    text = _text(name, given)
    if isinstance(given, str) and _NO_LINE.search(given):
        raise ValueError(f"{name} must be one line without NUL, not {given!r:.80}")
    return text


def _milliseconds(retry: object) -> int:
    if isinstance(retry, bool) or not isinstance(retry, int):
        raise TypeError(f"retry must be a whole number of milliseconds, not {retry!r:.80}")
    if retry < 0:
        raise ValueError(f"retry must be 0 or more milliseconds, not {retry}")
    return retry
