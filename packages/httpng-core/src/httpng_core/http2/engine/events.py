"""What a client did, as the session returns it."""

from httpng_core.http2.engine.hpack_table import Field
from httpng_core.http2.engine.requests import RequestHead


class Event:
    """Something that happened on a stream; 0 stands for the connection."""

    __slots__ = ("stream_id",)

    def __init__(self, stream_id: int) -> None:
        self.stream_id = stream_id


class RequestBegan(Event):
    """A request head came.

    Attributes:
        head: what it says; shared with other requests that are alike.
        end: whether the request is whole: it has no body.
    """

    __slots__ = ("end", "head")

    def __init__(self, stream_id: int, head: RequestHead, end: bool) -> None:
        self.stream_id = stream_id
        self.head = head
        self.end = end


class RequestRefused(Event):
    """A request came that isn't malformed but can't be served: answer `status`, then reset with NO_ERROR.

    Attributes:
        status: the status code of the answer.
        reason: what was wrong, for logs.
        end: whether the request is whole.
    """

    __slots__ = ("end", "reason", "status")

    def __init__(self, stream_id: int, status: int, reason: str, end: bool) -> None:
        self.stream_id = stream_id
        self.status = status
        self.reason = reason
        self.end = end


class DataReceived(Event):
    """Body bytes came. Say `consume` for as many, sooner or later.

    Attributes:
        data: the bytes, gathered from all frames of one call that followed each other.
    """

    __slots__ = ("data",)

    def __init__(self, stream_id: int, data: bytes) -> None:
        self.stream_id = stream_id
        self.data = data


class RequestEnded(Event):
    """A request with a body is whole.

    Attributes:
        trailers: the fields that came after the body.
    """

    __slots__ = ("trailers",)

    def __init__(self, stream_id: int, trailers: tuple[Field, ...]) -> None:
        self.stream_id = stream_id
        self.trailers = trailers


class StreamReset(Event):
    """A stream is over before its time. Nothing more comes on it, and nothing may be sent.

    Attributes:
        code: what the RST_STREAM says.
        is_local: whether it was us, because of what the client did on it; it may never have begun.
        reason: what that was, for logs; empty if it was the client.
    """

    __slots__ = ("code", "is_local", "reason")

    def __init__(self, stream_id: int, code: int, is_local: bool, reason: str) -> None:
        self.stream_id = stream_id
        self.code = code
        self.is_local = is_local
        self.reason = reason


class WindowOpened(Event):
    """A window that had no room has some now: that of a stream, or the connection's."""

    __slots__ = ()


class SettingsChanged(Event):
    """The client's settings came; windows of any stream may have opened or closed."""

    __slots__ = ()


class PriorityUpdated(Event):
    """The client wants another priority for a stream (RFC 9218, 7.1), which may be yet to come.

    Attributes:
        value: as the field `priority` would say it.
    """

    __slots__ = ("value",)

    def __init__(self, stream_id: int, value: bytes) -> None:
        self.stream_id = stream_id
        self.value = value


class PingAnswered(Event):
    """The client answered a PING of `Session.ping`.

    Attributes:
        data: its 8 bytes.
    """

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.stream_id = 0
        self.data = data


class PeerLeft(Event):
    """The client sent GOAWAY: it begins no more requests. Those that run go on.

    Attributes:
        code: why.
    """

    __slots__ = ("code",)

    def __init__(self, code: int) -> None:
        self.stream_id = 0
        self.code = code


class ConnectionFailed(Event):
    """The client broke the protocol: a GOAWAY goes out, and nothing more is read. The last event.

    Attributes:
        code: what the GOAWAY says.
        reason: what was wrong, for logs.
    """

    __slots__ = ("code", "reason")

    def __init__(self, code: int, reason: str) -> None:
        self.stream_id = 0
        self.code = code
        self.reason = reason
