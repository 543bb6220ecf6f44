"""h2 as we need it: what it announces, what it allows, and where it is stricter or laxer than that."""

from h2.config import H2Configuration
from h2.connection import (
    ConnectionInputs,
    ConnectionState,
    H2Connection,
    H2ConnectionStateMachine,
)
from h2.settings import SettingCodes
from h2.settings import Settings as H2Settings

from httpng_core.config import Settings

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_STREAMS = 100
"""How many streams a client may have open."""
FIRST_WINDOW = 65535
"""How much of a request body may come before we give more credit."""
CONNECTION_WINDOW = 1 << 20

_NO_RFC7540_PRIORITIES = 0x9
_ENCODER_TABLE = 4096
_ROOM_TO_REFUSE = 1 << 16


_OPEN = (ConnectionState.SERVER_OPEN, ConnectionState.CLIENT_OPEN)
_GOAWAY = (ConnectionInputs.SEND_GOAWAY, ConnectionInputs.RECV_GOAWAY)


class StateMachine(H2ConnectionStateMachine):
    """After a GOAWAY of either side the streams that run go on (RFC 9113, 6.8); h2 would end them."""

    _transitions = {  # noqa: RUF012 - as h2 has it
        **H2ConnectionStateMachine._transitions,
        **{(state, goaway): (None, state) for state in _OPEN for goaway in _GOAWAY},
    }


class ServerH2(H2Connection):
    """h2 in the role of a server. It checks frames, flow control and HPACK; headers are checked by us."""

    # What it remembers of closed streams, for ever.
    MAX_CLOSED_STREAMS = 1000

    def __init__(self, settings: Settings, upgrade: bytes | None = None) -> None:
        """Announces our settings; with `upgrade` a value of HTTP2-Settings, stream 1 has been requested.

        Raises:
            h2.exceptions.ProtocolError, ValueError: that value isn't one.
        """
        super().__init__(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.state_machine = StateMachine()
        self.local_settings = _local_settings(MAX_STREAMS, settings.shuttle_size)
        if upgrade is None:
            self.initiate_connection()
        else:
            self.initiate_upgrade_connection(upgrade)
        # h2 would end the connection where one stream is to be refused, so it is told of wider limits.
        self.local_settings = _local_settings(10 * MAX_STREAMS, settings.shuttle_size)
        self.decoder.max_header_list_size = settings.shuttle_size + _ROOM_TO_REFUSE
        self.increment_flow_control_window(CONNECTION_WINDOW - FIRST_WINDOW)
        self.bound_encoder()

    def bound_encoder(self) -> None:
        """Keeps the table for our header blocks small, whatever the client would allow."""
        if self.encoder.header_table_size > _ENCODER_TABLE:
            self.encoder.header_table_size = _ENCODER_TABLE

    def is_open(self, stream_id: int) -> bool:
        """Whether frames of ours can be made on a stream."""
        stream = self.streams.get(stream_id)
        return stream is not None and not stream.closed


def _local_settings(streams: int, header_list: int) -> H2Settings:
    values: dict[SettingCodes | int, int] = {
        SettingCodes.MAX_CONCURRENT_STREAMS: streams,
        SettingCodes.INITIAL_WINDOW_SIZE: FIRST_WINDOW,
        SettingCodes.MAX_HEADER_LIST_SIZE: header_list,
        _NO_RFC7540_PRIORITIES: 1,
    }
    return H2Settings(client=False, initial_values=values)  # type: ignore[arg-type]
