"""The states of a stream (RFC 9113, 5.1) as a table: what each frame does in each state.

There is no pushing, so the two reserved states don't occur. The state "closed" is four here, as what may
still come on a stream depends on how it was closed.
"""

from typing import Final

# States.
IDLE: Final = 0
OPEN: Final = 1
HALF_CLOSED_REMOTE: Final = 2
"""The request is whole."""
HALF_CLOSED_LOCAL: Final = 3
"""The response is whole."""
CLOSED: Final = 4
"""Both are whole."""
RESET_REMOTE: Final = 5
"""The client reset it."""
RESET_LOCAL: Final = 6
"""We reset it; the client may not know yet."""
FORGOTTEN: Final = 7
"""It was closed long ago, or never used although a later one was."""
STATES: Final = 8

# What happens.
RECEIVE_HEADERS: Final = 0
RECEIVE_HEADERS_END: Final = 1
RECEIVE_DATA: Final = 2
RECEIVE_DATA_END: Final = 3
RECEIVE_RESET: Final = 4
RECEIVE_WINDOW_UPDATE: Final = 5
RECEIVE_PRIORITY: Final = 6
SEND_HEADERS: Final = 7
SEND_HEADERS_END: Final = 8
SEND_DATA: Final = 9
SEND_DATA_END: Final = 10
SEND_RESET: Final = 11
INPUTS: Final = 12

# Outcomes that are no states.
IGNORED: Final = 8
"""Nothing changes: the frame has crossed ours on the way, or says nothing."""
STREAM_IS_CLOSED: Final = 9
"""A stream error, STREAM_CLOSED."""
STREAM_IS_MALFORMED: Final = 10
"""A stream error, PROTOCOL_ERROR."""
CONNECTION_IS_WRONG: Final = 11
"""A connection error, PROTOCOL_ERROR."""
CONNECTION_STREAM_CLOSED: Final = 12
"""A connection error, STREAM_CLOSED."""
FORBIDDEN: Final = 13
"""A mistake of our own caller."""


def _make_table() -> list[list[int]]:
    ignored, wrong, forbidden = IGNORED, CONNECTION_IS_WRONG, FORBIDDEN
    late, over = STREAM_IS_CLOSED, CONNECTION_STREAM_CLOSED
    remote, local = HALF_CLOSED_REMOTE, HALF_CLOSED_LOCAL
    received = [
        # HEADERS, with END_STREAM, DATA, with END_STREAM, RST_STREAM, WINDOW_UPDATE, PRIORITY
        # IDLE: only HEADERS begins a stream; PRIORITY may come ahead of it.
        [OPEN, remote, wrong, wrong, wrong, wrong, ignored],
        # OPEN: a second HEADERS is trailers, so it ends the request (RFC 9113, 8.1).
        [STREAM_IS_MALFORMED, remote, OPEN, remote, RESET_REMOTE, OPEN, OPEN],
        [late, late, late, late, RESET_REMOTE, remote, remote],
        [STREAM_IS_MALFORMED, CLOSED, local, CLOSED, RESET_REMOTE, local, local],
        # CLOSED: window updates and resets may have been under way.
        [over, over, over, over, ignored, ignored, ignored],
        # RESET_REMOTE: the client knows.
        [late, late, late, late, ignored, ignored, ignored],
        # RESET_LOCAL: the client may not know.
        [ignored, ignored, ignored, ignored, ignored, ignored, ignored],
        # FORGOTTEN: HEADERS would begin a stream with a number that isn't new (RFC 9113, 5.1.1).
        [wrong, wrong, late, late, ignored, ignored, ignored],
    ]
    sent = [[forbidden] * 5 for _ in range(STATES)]
    # HEADERS, with END_STREAM, DATA, with END_STREAM, RST_STREAM
    sent[OPEN] = [OPEN, local, OPEN, local, RESET_LOCAL]
    sent[remote] = [remote, CLOSED, remote, CLOSED, RESET_LOCAL]
    sent[local] = [forbidden, forbidden, forbidden, forbidden, RESET_LOCAL]
    return [received[state] + sent[state] for state in range(STATES)]


TABLE: Final = _make_table()


def outcome(state: int, happened: int) -> int:
    """Return the state after a frame, or one of the outcomes that aren't states, from `IGNORED` up."""
    return TABLE[state][happened]
