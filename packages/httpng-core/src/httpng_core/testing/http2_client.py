"""HTTP/2 in the role of a client, for tests: by h2, with flow control in the hands of the test."""

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from httpng_core.http2.reference.wire import StateMachine


class ReceivedStream:
    """A response as the client decoded it.

    Attributes:
        status: its status code, 0 before the head has come.
        headers: its headers, the last of those that are repeated.
        fields: the headers as they came, in order, repeated ones among them.
        body: its body, as far as it has come.
        complete: whether its end has come.
        reset: the code of a RST_STREAM, `None` without one.
        interim: the status codes of interim responses.
        trailers: the fields behind the body, in order.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.fields: list[tuple[str, str]] = []
        self.body = bytearray()
        self.complete = False
        self.reset: int | None = None
        self.interim: list[int] = []
        self.trailers: list[tuple[str, str]] = []


class Http2Client:
    """A client without a socket: `take` what it sends, `receive` what came.

    Attributes:
        h2: for whatever has no verb here.
        streams: what came on each stream.
        goaway: the code of a GOAWAY, `None` without one.
        last_stream: the last stream that it says was taken.
        reads: whether body bytes give room in the windows as soon as they come.
    """

    def __init__(self, window: int = 65535, *, reads: bool = True, preface: bool = True) -> None:
        """Start with the preface to be sent, and `window` bytes of room for each stream."""
        config = H2Configuration(
            client_side=True,
            header_encoding="utf-8",
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = H2Connection(config)
        self.h2.state_machine = StateMachine()
        self.h2.local_settings.update({SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.h2.local_settings.acknowledge()
        self.streams: dict[int, ReceivedStream] = {}
        self.goaway: int | None = None
        self.last_stream: int | None = None
        self.reads = reads
        if preface:
            self.h2.initiate_connection()

    def take(self) -> bytes:
        """Return what is to be sent to the server."""
        return self.h2.data_to_send()

    def request(
        self,
        path: str = "/",
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        body: bytes | None = b"",
        authority: str = "test",
    ) -> int:
        """Send a request with a body that fits the windows, `None` leaves it open; return the stream id."""
        stream_id = self.h2.get_next_available_stream_id()
        pseudo = ((":method", method), (":scheme", "http"), (":authority", authority), (":path", path))
        return self.send_fields(stream_id, pseudo + headers, body)

    def send_fields(self, stream_id: int, fields: tuple[tuple[str, str], ...], body: bytes | None) -> int:
        """Send a request of any header list, sound or not."""
        self.streams[stream_id] = ReceivedStream()
        self.h2.send_headers(stream_id, fields, end_stream=body == b"")
        if body:
            self.h2.send_data(stream_id, body, end_stream=True)
        return stream_id

    def give(self, size: int, stream_id: int | None = None) -> None:
        """Give room to a stream, or to the connection."""
        self.h2.increment_flow_control_window(size, stream_id)

    def receive(self, data: bytes) -> None:
        """Take `data` that the server sent."""
        for event in self.h2.receive_data(data):
            self._note(event)

    def _note(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionTerminated):
            self.goaway, self.last_stream = int(event.error_code or 0), event.last_stream_id
            return
        stream = self.streams.get(getattr(event, "stream_id", 0) or 0)
        if stream is None:
            return
        if isinstance(event, events.ResponseReceived):
            fields = [(str(name), str(value)) for name, value in event.headers]
            stream.status = int(fields[0][1])
            stream.fields = fields[1:]
            stream.headers = dict(stream.fields)
        elif isinstance(event, events.InformationalResponseReceived):
            stream.interim.append(int(event.headers[0][1]))
        elif isinstance(event, events.DataReceived):
            stream.body += event.data
            if self.reads and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.TrailersReceived):
            stream.trailers = [(str(name), str(value)) for name, value in event.headers]
        elif isinstance(event, events.StreamEnded):
            stream.complete = True
        elif isinstance(event, events.StreamReset):
            stream.reset = int(event.error_code or 0)
