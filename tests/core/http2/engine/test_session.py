"""A session: what it tells its owner, what it answers, and the verbs that send."""

from struct import pack

import pytest
from tests.core.http2.engine.driving import (
    GET,
    POST,
    Driven,
    data,
    frame,
    read_all,
    rst,
    settings,
    window_update,
)

from httpng_core.http2.engine import (
    FLOW_CONTROL_ERROR,
    MAX_WINDOW,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    WORK,
    Config,
    DataReceived,
    FatalError,
    PeerLeft,
    PingAnswered,
    PriorityUpdated,
    RequestBegan,
    RequestEnded,
    RequestRefused,
    Session,
    SettingsChanged,
    StreamReset,
    WindowOpened,
    frames,
)

WINDOW = 1 << 20


def credits(driven: Driven) -> list[tuple[int, int]]:
    """Credit that was given: to which stream, and how much."""
    return [
        (one.stream_id, int.from_bytes(one.payload))
        for one in driven.answers
        if one.kind == frames.WINDOW_UPDATE
    ]


# Events -------------------------------------------------------------------------------------------------


def test_a_request_with_a_body_and_trailers() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    driven.send(data(1, b"ab") + data(1, b"c") + driven.headers(1, ((b"x-end", b"1"),)))
    began, received, ended = driven.events
    assert isinstance(began, RequestBegan)
    assert (began.stream_id, began.head.method, began.end) == (1, b"POST", False)
    assert isinstance(received, DataReceived)
    assert received.data == b"abc"  # Gathered.
    assert isinstance(ended, RequestEnded)
    assert ended.trailers == ((b"x-end", b"1"),)


def test_bodies_of_several_streams_stay_apart_and_in_order() -> None:
    driven = Driven()
    driven.send(driven.headers(1, POST, False) + driven.headers(3, POST, False))
    events = driven.send(data(1, b"a") + data(1, b"b") + data(3, b"c") + data(1, b"d", True) + data(3, b"e"))
    shown = [(one.stream_id, one.data) for one in events if isinstance(one, DataReceived)]
    assert shown == [(1, b"ab"), (3, b"c"), (1, b"d"), (3, b"e")]
    assert [type(one) for one in events][3] is RequestEnded


def test_a_request_that_is_reset_in_the_same_breath_was_never_there() -> None:
    driven = Driven()
    driven.send(driven.headers(1) + driven.headers(3) + rst(1))
    assert driven.begun == [3]
    assert driven.reset_events == []
    driven.send(rst(3))
    assert driven.reset_events == [(3, 8)]


def test_a_reset_says_who_and_why() -> None:
    driven = Driven()
    driven.request(1)
    driven.request(3)
    (theirs,) = driven.send(rst(1, 5))
    assert isinstance(theirs, StreamReset)
    assert (theirs.code, theirs.is_local, theirs.reason) == (5, False, "")
    (ours,) = driven.send(window_update(3, 0))
    assert isinstance(ours, StreamReset)
    assert (ours.code, ours.is_local) == (PROTOCOL_ERROR, True)
    assert ours.reason


def test_a_head_that_is_too_long_is_refused_with_a_status_and_its_body_is_dropped() -> None:
    driven = Driven(Config(max_header_list=200))
    driven.request(1, (*POST, (b"a", b"b" * 100)), end=False)
    (refused,) = driven.events
    assert isinstance(refused, RequestRefused)
    assert (refused.status, refused.end) == (431, False)
    assert driven.send(data(1, b"x" * 100)) == []
    assert read_all(driven.respond(1))[0].flags & frames.END_STREAM
    driven.session.reset(1, NO_ERROR)
    driven.send(data(1, b"x" * 100))
    driven.request(3)
    assert driven.begun == [3]
    assert driven.failure is None


def test_settings_goaway_and_priorities() -> None:
    driven = Driven()
    (changed,) = driven.send(settings((4, 100), (5, 20000)))
    assert isinstance(changed, SettingsChanged)
    assert (driven.session.peer.initial_window, driven.session.peer.max_frame) == (100, 20000)
    (left,) = driven.send(frame(frames.GOAWAY, 0, 0, pack(">LL", 0, 2) + b"why"))
    assert isinstance(left, PeerLeft)
    assert left.code == 2
    (updated,) = driven.send(frame(frames.PRIORITY_UPDATE, 0, 0, pack(">L", 7) + b"u=1"))
    assert isinstance(updated, PriorityUpdated)
    assert (updated.stream_id, updated.value) == (7, b"u=1")
    driven.request(9)
    assert driven.send(frame(frames.PRIORITY_UPDATE, 0, 0, pack(">L", 7) + b"u=1")) == []


def test_pings_both_ways() -> None:
    driven = Driven()
    driven.send(frame(frames.PING, 0, 0, b"theirs.."))
    assert [(one.flags, one.payload) for one in driven.answers] == [(frames.ACK, b"theirs..")]
    driven.session.ping(b"ours....")
    (answered,) = driven.send(frame(frames.PING, frames.ACK, 0, b"ours...."))
    assert isinstance(answered, PingAnswered)
    assert answered.data == b"ours...."
    assert driven.send(frame(frames.PING, frames.ACK, 0, b"ours....")) == []


def test_extended_connect() -> None:
    driven = Driven(Config(has_connect=True), handshake=False)
    fields = ((b":method", b"CONNECT"), *GET[1:], (b":protocol", b"websocket"))
    driven.send(PREFACE + settings() + driven.headers(1, fields, end=False))
    assert (8).to_bytes(2) + (1).to_bytes(4) in driven.answers[0].payload
    began = driven.events[-1]
    assert isinstance(began, RequestBegan)
    assert began.head.protocol == b"websocket"
    driven.session.send_head(1, b"\x88", end=False)
    driven.send(data(1, b"frame"))
    assert isinstance(driven.events[-1], DataReceived)


def test_the_request_that_asked_for_an_upgrade_is_stream_1() -> None:
    session = Session(Config(), 0.0, upgrade=pack(">HL", 4, 5))
    assert session.room(1) == 5
    session.receive(PREFACE + settings(), 0.0)
    sent = session.send_head(1, b"\x88", end=False) + session.data_frame_head(1, 5, end=True)
    assert len(read_all(sent + b"12345")) == 2
    assert not session.is_open(1)
    with pytest.raises(FatalError):
        Session(Config(), 0.0, upgrade=b"1234567")


# Work in one call ---------------------------------------------------------------------------------------


def test_a_bounded_part_is_acted_on_in_one_call_and_nothing_is_lost() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    events = driven.session.receive(data(1, b"x") * (WORK + 10), 0.0)
    assert driven.session.has_more
    rest = driven.session.receive(b"", 0.0)
    assert not driven.session.has_more
    sizes = [len(one.data) for one in events + rest if isinstance(one, DataReceived)]
    assert sizes == [WORK, 10]


def test_what_is_there_in_part_is_known() -> None:
    driven = Driven(handshake=False)
    assert not driven.session.is_partial
    driven.send(PREFACE[:5])
    assert driven.session.is_partial
    driven.send(PREFACE[5:] + settings())
    assert not driven.session.is_partial
    wire = driven.headers(1)
    driven.send(wire[:4])
    assert driven.session.is_partial
    driven.send(wire[4:] + data(1, b"12345")[:12])
    assert not driven.session.is_partial  # A body has its own deadline.


# Windows for what we send -------------------------------------------------------------------------------


def test_room_is_the_smaller_of_both_windows() -> None:
    driven = Driven()
    driven.request(1)
    driven.request(3)
    session = driven.session
    session.send_head(1, b"\x88", end=False)
    session.data_frame_head(1, 16384, end=False)
    assert (session.room(1), session.room(3), session.window) == (65535 - 16384,) * 3
    driven.send(window_update(0, 50000))
    assert (session.room(1), session.room(3)) == (65535 - 16384, 65535)
    driven.send(window_update(1, 50000))
    assert session.room(1) == 65535 - 16384 + 50000


def test_a_window_that_opens_is_an_event_and_one_that_grows_is_not() -> None:
    driven = Driven()
    driven.send(settings((4, 0)))
    driven.request(1)
    assert driven.session.room(1) == 0
    (opened,) = driven.send(window_update(1, 1))
    assert isinstance(opened, WindowOpened)
    assert opened.stream_id == 1
    assert driven.send(window_update(1, 1) + window_update(0, 1)) == []


def test_settings_shrink_windows_below_zero_and_open_them_again() -> None:
    driven = Driven()
    driven.request(1)
    driven.session.send_head(1, b"\x88", end=False)
    driven.session.data_frame_head(1, 10000, end=False)
    driven.send(settings((4, 5000)))
    assert driven.session.room(1) == -5000
    assert driven.send(window_update(1, 5000)) == []
    (opened,) = driven.send(window_update(1, 3))
    assert isinstance(opened, WindowOpened)
    assert driven.session.room(1) == 3
    # An end needs no room.
    assert driven.session.data_frame_head(1, 0, end=True)


def test_settings_are_taken_in_order() -> None:
    driven = Driven()
    driven.request(1)
    driven.send(settings((4, 100), (4, 1)))
    assert driven.session.room(1) == 1


# Credit for what the client sends -----------------------------------------------------------------------


def test_credit_comes_with_what_is_consumed_in_halves() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    for _ in range(3):
        driven.send(data(1, b"x" * 16384))
    driven.session.consume(1, 20000)
    driven.send(b"")
    assert credits(driven) == []
    driven.session.consume(1, 20000)
    driven.send(b"")
    assert credits(driven) == [(1, 40000)]


def test_padding_is_given_back_at_once() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    for _ in range(400):
        driven.send(frame(frames.DATA, frames.PADDED, 1, b"\xff" + bytes(255)))
        driven.now += 1
    assert sum(size for stream_id, size in credits(driven) if stream_id == 1) >= 65535
    assert driven.failure is None


def test_more_than_the_credit_of_a_stream_resets_it() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    for _ in range(4):
        driven.send(data(1, b"x" * 16384))
    assert driven.resets == [(1, FLOW_CONTROL_ERROR)]
    assert driven.failure is None


def test_more_than_the_credit_of_the_connection_ends_it() -> None:
    driven = Driven()
    for number in range(WINDOW // 65535 + 1):
        driven.request(2 * number + 1, POST, end=False)
        driven.send(data(2 * number + 1, b"x" * 16384) * 3 + data(2 * number + 1, b"x" * 16383))
    driven.send(data(1, b""))
    assert driven.failure == FLOW_CONTROL_ERROR


@pytest.mark.parametrize("end", ["reset by the client", "reset by us", "an error", "the end of the response"])
def test_the_connection_gets_back_what_came_on_streams_that_are_over(end: str) -> None:
    """Uploads for ever, of which none is consumed: the connection never runs dry."""
    driven = Driven()
    for number in range(200):
        stream_id = 2 * number + 1
        driven.request(stream_id, POST, end=False)
        driven.send(data(stream_id, b"x" * 16384) * 3)
        if end == "reset by the client":
            driven.session.send_head(stream_id, b"\x88", end=False)
            driven.send(rst(stream_id))
        elif end == "reset by us":
            driven.session.reset(stream_id)
            driven.send(data(stream_id, b"x" * 10000))
        elif end == "an error":
            driven.send(window_update(stream_id, 0))
        else:
            driven.send(data(stream_id, b"", end=True))
            driven.respond(stream_id)
        driven.now += 0.1
    assert driven.failure is None


def test_the_connection_may_get_credit_that_its_stream_does_not() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    driven.session.widen_stream(1, 2 * WINDOW)
    for _ in range(40):
        driven.send(data(1, b"x" * 16384))
        driven.session.consume_connection(1, 16384)
    driven.send(b"")
    assert [stream_id for stream_id, _ in credits(driven)] == [1, 0]
    driven.session.consume_stream(1, WINDOW)
    driven.send(b"")
    assert credits(driven)[-1] == (1, WINDOW)


def test_a_request_that_is_whole_gets_no_credit() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    driven.send(data(1, b"x" * 16384) * 3 + data(1, b"", end=True))
    driven.session.consume(1, 3 * 16384)
    driven.send(b"")
    assert credits(driven) == []


# Sending ------------------------------------------------------------------------------------------------


def test_informational_heads_a_head_a_body_and_trailers() -> None:
    driven = Driven()
    driven.request(1)
    session = driven.session
    wire = session.send_head(1, b"\x08\x03103", end=False)
    wire += session.send_head(1, b"\x88", end=False)
    wire += session.data_frame_head(1, 2, end=False) + b"ab"
    wire += session.send_head(1, b"\x00\x01a\x01b", end=True)
    assert [one.kind for one in read_all(wire)] == [1, 1, 0, 1]
    assert not session.is_open(1)


def test_nothing_can_be_sent_after_the_end() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    driven.respond(1)
    assert not driven.session.is_open(1)
    with pytest.raises(ValueError, match="whole"):
        driven.session.data_frame_head(1, 0, end=True)
    driven.session.reset(1, NO_ERROR)
    driven.session.reset(1, NO_ERROR)
    driven.send(b"")
    assert driven.resets == [(1, NO_ERROR)]
    with pytest.raises(KeyError):
        driven.session.send_head(1, b"\x88", end=True)


def test_a_long_head_is_cut_by_what_the_client_takes() -> None:
    driven = Driven()
    driven.request(1)
    wire = driven.session.send_head(1, b"\x88" + b"\x00\x01a\x01b" * 8000, end=True)
    assert wire.count(b"\x00\x40\x00\x01") == 1  # HEADERS of 16,384 bytes.
    assert len(read_all(wire)) == 1


def test_a_client_that_wants_no_table_is_told_once_that_there_is_none() -> None:
    driven = Driven()
    driven.send(settings((1, 4096)) + driven.headers(1) + driven.headers(3) + driven.headers(5))
    assert read_all(driven.respond(1))[0].payload == b"\x88"
    driven.send(settings((1, 0)))
    assert read_all(driven.respond(3))[0].payload == b"\x20\x88"
    driven.send(settings((1, 100)))
    assert read_all(driven.respond(5))[0].payload == b"\x88"


# Leaving ------------------------------------------------------------------------------------------------


def test_a_drain_says_goaway_twice_and_streams_go_on() -> None:
    driven = Driven()
    driven.request(1)
    driven.session.announce_leaving()
    driven.session.announce_leaving()
    driven.request(3)
    driven.session.leave()
    driven.session.leave()
    driven.request(5)
    driven.send(data(5, b"x"))
    shown = [one.payload for one in driven.answers if one.kind == frames.GOAWAY]
    assert shown == [pack(">LL", MAX_WINDOW, NO_ERROR), pack(">LL", 3, NO_ERROR)]
    assert driven.begun == [1, 3]
    assert driven.failure is None
    assert driven.respond(1, b"x")
    assert driven.respond(3)


def test_header_blocks_of_requests_that_are_ignored_still_count() -> None:
    driven = Driven()
    driven.session.leave()
    driven.request(1, (*GET, (b"x-new", b"entry")))
    assert driven.session.streams.highest == 1
    driven.request(3, (*GET, (b"x-new", b"entry")))
    assert driven.failure is None


def test_streams_that_are_over_leave_nothing_behind() -> None:
    driven = Driven()
    for number in range(2000):
        driven.request(2 * number + 1)
        driven.respond(2 * number + 1)
    assert driven.session.streams.open == {}
    # The first are forgotten by now: a late frame does no harm, but no stream begins anew.
    driven.send(window_update(1, 1) + rst(1))
    assert driven.failure is None
    driven.request(1)
    assert driven.failure == PROTOCOL_ERROR


# The beginning ------------------------------------------------------------------------------------------


def test_we_begin_with_our_settings() -> None:
    driven = Driven(handshake=False)
    driven.send(PREFACE)
    assert [one.kind for one in driven.answers] == [frames.SETTINGS, frames.WINDOW_UPDATE]
    driven.send(settings((4, 100)))
    assert (driven.answers[-1].kind, driven.answers[-1].flags) == (frames.SETTINGS, frames.ACK)
    assert driven.session.has_settings


NO_PREFACE = [b"GET / HTTP/1.1\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", b"\0" * 24, b"PRI * HTTP/1"]
PING = frame(frames.PING, 0, 0, b"12345678")
REQUEST = frame(frames.HEADERS, 5, 1, b"\x82\x86\x84\x41\x01x")
NO_SETTINGS = [PING, frames.SETTINGS_ACK, window_update(0, 1), REQUEST, data(1, b""), frame(0xFF)]


@pytest.mark.parametrize("wire", NO_PREFACE)
def test_what_is_no_preface(wire: bytes) -> None:
    driven = Driven(handshake=False)
    driven.send(wire)
    assert driven.failure == PROTOCOL_ERROR


@pytest.mark.parametrize("first", NO_SETTINGS)
def test_the_client_begins_with_its_settings(first: bytes) -> None:
    driven = Driven(handshake=False)
    driven.send(PREFACE + first)
    assert driven.failure == PROTOCOL_ERROR
    assert driven.begun == []


@pytest.mark.parametrize("together", [False, True])
def test_what_nobody_has_consumed_is_given_back_with_the_answer(together: bool) -> None:
    """The window of the connection would be used up by half of these."""
    driven = Driven()
    session = driven.session
    for number in range(1, 260, 2):
        driven.request(number, POST, end=False)
        driven.send(data(number, bytes(16384), end=True))
        stream = session.streams.open[number]
        assert stream.unread == 16384
        if together:
            session.end_whole([stream], 0, 0)
        else:
            session.end_one(stream, 0)
        assert number not in session.streams.open
    assert driven.failure is None
    assert 2 * WINDOW < 130 * 16384


def test_nothing_is_told_of_what_comes_behind_a_head_that_is_refused() -> None:
    driven = Driven(Config(max_header_list=200))
    head = driven.headers(1, (*POST, (b"x", b"y" * 200)), end=False)
    (refused,) = driven.send(head + data(1, b"ab") + data(1, b"c", end=True))
    assert isinstance(refused, RequestRefused)
    assert not refused.end
    assert driven.send(driven.headers(3))
    assert driven.begun == [3]


def test_credit_for_a_stream_that_is_closed_is_given_to_nobody() -> None:
    driven = Driven()
    driven.request(1, POST, end=False)
    driven.send(data(1, b"x" * 16384) * 3 + rst(1))
    driven.answers.clear()
    driven.session.widen_stream(1, WINDOW)
    driven.session.consume_stream(1, 3 * 16384)
    driven.send(b"")
    assert credits(driven) == []
    assert driven.failure is None


def test_nothing_is_held_of_a_header_block_that_is_whole() -> None:
    driven = Driven()
    block = driven.block((*GET, (b"x-long", b"v" * 1000)))
    driven.send(frame(frames.HEADERS, frames.END_STREAM, 1, block[:500]))
    assert driven.session.held == 500
    driven.send(frame(frames.CONTINUATION, frames.END_HEADERS, 1, block[500:]))
    assert driven.begun == [1]
    assert driven.session.held == 0
