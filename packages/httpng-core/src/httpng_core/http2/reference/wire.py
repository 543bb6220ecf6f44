"""h2 in the role of a server, as we need it: it reads what comes, and what we send is told to it.

It is told late, before it reads on: streams and windows are lent to it for each frame, and the windows for
what we send are taken back, with what the client has given.
"""

from base64 import urlsafe_b64encode
from typing import Final

from h2.config import H2Configuration
from h2.connection import ConnectionInputs, ConnectionState, H2Connection, H2ConnectionStateMachine
from h2.events import Event
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from h2.stream import StreamInputs, StreamState

from httpng_core.http2.engine.errors import FatalError
from httpng_core.http2.engine.session import PREFACE
from httpng_core.http2.engine.session_config import Config
from httpng_core.http2.engine.stream_states import CLOSED, HALF_CLOSED_LOCAL
from httpng_core.http2.engine.streams import Streams

ROOM_TO_REFUSE: Final = 1 << 16
"""By so many bytes a header list may be too long, so that the request alone is refused."""

_OPEN: Final = (ConnectionState.IDLE, ConnectionState.SERVER_OPEN, ConnectionState.CLIENT_OPEN)
_GOAWAY: Final = (ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY)


class StateMachine(H2ConnectionStateMachine):
    """After a GOAWAY of either side the streams that run go on (RFC 9113, 6.8); h2 would end them."""

    _transitions = {  # noqa: RUF012 - as h2 has it
        **H2ConnectionStateMachine._transitions,
        **{(state, goaway): (None, state) for state in _OPEN for goaway in _GOAWAY},
    }


class ServerH2(H2Connection):
    """h2, with frames, header blocks, the states of streams and flow control as its business.

    Of header lists it only checks what it can't help; what it would end the connection for is ours to refuse.
    """

    # What it remembers of closed streams, for ever.
    MAX_CLOSED_STREAMS = 1000

    def __init__(self, config: Config, upgrade: bytes | None) -> None:
        """Begin behind the preface; with `upgrade`, the payload of HTTP2-Settings, stream 1 is requested.

        The session has read that payload, and refused it if it isn't one.
        """
        super().__init__(
            H2Configuration(
                client_side=False, validate_inbound_headers=False, normalize_inbound_headers=False
            )
        )
        self.state_machine = StateMachine()
        # It would end the connection where one stream is to be refused, so it is told of a wider limit.
        self.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: config.max_streams + 1}
        )
        self.decoder.max_header_list_size = config.max_header_list + ROOM_TO_REFUSE
        if upgrade is None:
            self.initiate_connection()
        else:
            self.initiate_upgrade_connection(urlsafe_b64encode(upgrade))
        self.receive_data(PREFACE)
        self.clear_outbound_data_buffer()

    def lend(self, streams: Streams, window: int, credit: int) -> None:
        """Have it know what was sent: what has ended, and what all windows are now.

        `window` is the connection's for what we send, `credit` the one for what comes.
        """
        self.outbound_flow_control_window = window
        self._inbound_flow_control_window_manager.current_window_size = credit
        for number, known in self.streams.items():
            stream, machine = streams.open.get(number), known.state_machine
            if stream is None:
                if not known.closed:
                    is_whole = streams.state(number) == CLOSED
                    machine.process_input(
                        StreamInputs.SEND_END_STREAM if is_whole else StreamInputs.SEND_RST_STREAM
                    )
                continue
            if stream.state == HALF_CLOSED_LOCAL and machine.state != StreamState.HALF_CLOSED_LOCAL:
                machine.process_input(StreamInputs.SEND_END_STREAM)
            known.outbound_flow_control_window = stream.window
            if stream.credit is not None:
                known._inbound_window_manager.current_window_size = stream.credit.window

    def read(self, frame: bytes) -> tuple[list[Event], bytes]:
        """Return what a frame means, and the answer that it wants.

        Raises:
            FatalError: The connection can't go on.
        """
        try:
            events = self.receive_data(frame)
        except ProtocolError as error:
            raise FatalError(int(error.error_code), f"{type(error).__name__}: {error}") from None
        return events, self.data_to_send()

    def take_back(self, streams: Streams) -> int:
        """Have streams know what the client allows on them now; return what it allows on the connection."""
        for number, stream in streams.open.items():
            stream.window = self.streams[number].outbound_flow_control_window
        # It keeps settings that nobody knows, 1.5 KB for each, and what to tell of a table that isn't used.
        for code in [code for code in self.remote_settings if not isinstance(code, SettingCodes)]:
            del self.remote_settings[code]
        self.encoder.table_size_changes.clear()
        return self.outbound_flow_control_window
