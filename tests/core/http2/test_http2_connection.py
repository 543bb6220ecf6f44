"""The life of an HTTP/2 connection: resets, errors, deadlines, draining, and clients that mean no good."""

from math import inf
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from tests.core.driving import Driven
from tests.core.driving2 import Driven2

from httpng_core import Closing, Connection, Response, Settings
from httpng_core.testing import Http2Client

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

PING = b"\0\0\x08\x06\0\0\0\0\0abcdefgh"
GOAWAY = b"\0\0\x08\x07\0\0\0\0\0" + b"\0" * 8
EMPTY_SETTINGS = b"\0\0\0\x04\0\0\0\0\0"


def idle() -> Driven2:
    """A connection after one whole response."""
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.finish(driven.now)
    driven.turn()
    return driven


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload


# Resets -----------------------------------------------------------------------------------------------


def test_a_reset_of_the_client_cancels_that_exchange_only() -> None:
    driven = Driven2()
    (one, _), (two, stream) = driven.begin(), driven.begin()
    write = one.write(b"x" * 100, driven.now, window=0)
    driven.client.h2.reset_stream(1, ErrorCodes.CANCEL)
    driven.turn()
    assert write.settled
    assert driven.outcomes == ["cancelled"]
    two.respond(Response(body="ok"), driven.now)
    driven.turn()
    assert stream.body == b"ok"


def test_a_reset_of_a_request_that_is_not_whole() -> None:
    driven = Driven2()
    number, _ = driven.request(method="POST", body=None)
    driven.client.h2.reset_stream(number)
    driven.turn()
    assert driven.exchanges == []
    assert driven.connection.next_deadline() is not None
    driven.begin()


def test_a_request_reset_in_the_same_breath_reaches_no_handler() -> None:
    driven = Driven2()
    number = driven.client.request()
    driven.client.h2.reset_stream(number)
    driven.turn()
    assert driven.exchanges == []


def test_a_stream_whose_window_overflows_is_reset_alone() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    driven.receive(frame(8, 0, 1, (2**31 - 1).to_bytes(4)))
    driven.turn()
    assert stream.reset == ErrorCodes.FLOW_CONTROL_ERROR
    assert exchange.is_over
    driven.begin()


def test_a_stream_cancelled_by_the_server_is_reset() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    exchange.cancel(driven.now)
    driven.turn()
    assert stream.reset == ErrorCodes.INTERNAL_ERROR
    assert driven.outcomes == ["cancelled"]


# Errors of the connection -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "code"),
    [
        (frame(0, 0, 0, b"x"), ErrorCodes.PROTOCOL_ERROR),
        (frame(0, 0, 99, b"x"), ErrorCodes.PROTOCOL_ERROR),
        (frame(6, 0, 0, b"x"), ErrorCodes.FRAME_SIZE_ERROR),
        (frame(8, 0, 0, (2**31 - 1).to_bytes(4)), ErrorCodes.FLOW_CONTROL_ERROR),
        (frame(1, 4, 1, b"\xff" * 20), ErrorCodes.COMPRESSION_ERROR),
        (b"\xff" * 9, ErrorCodes.FRAME_SIZE_ERROR),
    ],
)
def test_a_connection_error_is_a_goaway_and_the_end(wire: bytes, code: ErrorCodes) -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    driven.receive(wire)
    driven.turn()
    assert driven.client.goaway == code
    assert driven.client.last_stream == 1
    assert exchange.is_over
    assert driven.outcomes == ["cancelled"]
    assert driven.connection.half_close_expected()
    driven.receive(PING)
    driven.eof()
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is not Closing.RESET


def test_a_goaway_that_the_client_does_not_take_ends_in_a_reset() -> None:
    driven = Driven2()
    driven.receive(b"\xff" * 9)
    driven.receive(PING)
    driven.advance(30)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET


def test_the_wrong_preface_after_alpn() -> None:
    connection = Connection(Settings(), 0.0, protocol="h2")
    connection.receive_data(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", 0.0)
    wire = b"".join(connection.data_to_send(0.0))
    connection.bytes_accepted(len(wire), 0.0)
    reason = b"the connection doesn't begin with the preface"
    assert wire.endswith(frame(7, 0, 0, b"\0\0\0\0\0\0\0\x01" + reason))
    assert connection.half_close_expected()


# Deadlines --------------------------------------------------------------------------------------------


def test_without_a_preface_there_is_header_timeout() -> None:
    connection = Connection(Settings(), 0.0, protocol="h2")
    assert connection.next_deadline() == 10
    connection.handle_timeout(10.0)
    wire = b"".join(connection.data_to_send(10.0))
    connection.bytes_accepted(len(wire), 10.0)
    assert connection.half_close_expected()


def test_without_a_stream_there_is_keepalive_timeout() -> None:
    driven = Driven2()
    driven.advance(74)
    exchange, _ = driven.begin()
    driven.advance(74)
    exchange.finish(driven.now)
    driven.turn()
    driven.advance(74)
    driven.turn()
    assert driven.client.goaway is None
    driven.advance(1)
    driven.turn()
    assert driven.client.goaway == ErrorCodes.NO_ERROR
    assert driven.connection.half_close_expected()


def test_with_a_handler_at_work_there_is_no_deadline() -> None:
    driven = Driven2()
    driven.begin()
    driven.advance(1000)
    assert driven.connection.next_deadline() is None


def test_infinity_is_no_deadline() -> None:
    times: Any = dict.fromkeys(("header_timeout", "keepalive_timeout", "stall_timeout", "body_timeout"), inf)
    driven = Driven2(**times, min_body_rate=0)
    assert driven.connection.next_deadline() is None
    driven.request(method="POST", body=None)
    assert driven.connection.next_deadline() is None


@pytest.mark.parametrize("parts", [1, 2])
def test_a_header_block_that_has_begun_has_header_timeout(parts: int) -> None:
    driven = Driven2()
    driven.begin()
    driven.receive(frame(1, 0, 3, b"\x82")[: 15 if parts == 2 else 9])
    if parts == 2:
        driven.receive(frame(9, 0, 3, b"\x86"))
    driven.advance(9)
    assert not driven.refused
    driven.advance(1)
    driven.turn()
    assert driven.client.goaway == ErrorCodes.PROTOCOL_ERROR


def test_a_header_block_in_pieces_is_fine_in_time() -> None:
    driven = Driven2()
    driven.client.request(headers=(("a", "b" * 100),))
    for byte in driven.client.take():
        driven.receive(bytes([byte]))
    assert len(driven.exchanges) == 1
    driven.advance(1000)
    assert not driven.refused


def test_a_flush_that_the_client_window_holds_is_reset_after_stall_timeout() -> None:
    driven = Driven2(10, reads=False)
    (one, stream), (two, other) = driven.begin(), driven.begin()
    for exchange in (one, two):
        exchange.write(b"x" * 20, driven.now)
        exchange.finish(driven.now)
    driven.turn()
    driven.advance(29)
    driven.client.give(1, 3)
    driven.turn()
    driven.advance(1)
    driven.turn()
    assert stream.reset == ErrorCodes.CANCEL
    assert driven.outcomes == ["reset"]
    driven.client.give(9, 3)
    driven.turn()
    assert other.complete


def test_a_flush_goes_on_while_the_socket_takes_what_is_of_others() -> None:
    driven = Driven2(1 << 20)
    (one, stream), (two, _) = driven.begin(), driven.begin()
    two.write(b"y" * 60_000, driven.now)
    driven.push(1000)
    one.respond(Response(body="ok"), driven.now)
    for _ in range(5):
        driven.advance(20)
        driven.push(1000)
    assert driven.outcomes == []
    driven.turn()
    assert stream.complete


def test_a_client_that_takes_nothing_during_a_flush_is_reset() -> None:
    driven = Driven2()
    driven.begin()
    exchange, _ = driven.begin()
    exchange.respond(Response(body="x" * 1000), driven.now)
    driven.push(500)
    driven.advance(29)
    driven.push(100)
    driven.advance(29)
    assert not driven.connection.close_expected()
    driven.advance(1)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET
    assert driven.outcomes == ["cancelled", "reset"]


def test_acknowledged_bytes_are_no_stall() -> None:
    driven = Driven2(tells_acknowledged=True)
    exchange, _ = driven.begin()
    exchange.respond(Response(body="x" * 1000), driven.now)
    assert driven.connection.wants_acknowledged
    driven.push(500)
    driven.advance(29)
    driven.connection.bytes_acknowledged(len(driven.wire) - 100, driven.now)
    driven.advance(29)
    assert not driven.connection.close_expected()


# Draining and the end ---------------------------------------------------------------------------------


def test_drain_lets_streams_that_run_end_and_takes_what_was_on_its_way() -> None:
    driven = Driven2()
    exchange, stream = driven.begin()
    receiving, _ = driven.request(method="POST", body=None)
    driven.client.request("/late")
    driven.connection.drain(driven.now)
    driven.connection.drain(driven.now)
    driven.receive(driven.client.take())
    driven.push()
    assert (driven.client.goaway, driven.client.last_stream) == (ErrorCodes.NO_ERROR, 2**31 - 1)
    assert driven.exchange.request.path == "/late"
    driven.exchange.finish(driven.now)
    # The client has read that, as it answers the PING behind it.
    driven.turn()
    assert (driven.client.goaway, driven.client.last_stream) == (ErrorCodes.NO_ERROR, receiving + 2)
    driven.receive(frame(1, 5, 7, b"\x82\x86\x84\x41\x01x"))
    assert len(driven.exchanges) == 2
    exchange.respond(Response(body="ok"), driven.now)
    driven.push()
    assert stream.body == b"ok"
    driven.receive(frame(0, 1, receiving, b"body"))
    assert driven.exchange.request.body == b"body"
    assert not driven.connection.half_close_expected()
    driven.exchange.finish(driven.now)
    driven.push()
    assert driven.client.streams[receiving].complete
    assert driven.connection.half_close_expected()


def test_a_client_that_does_not_answer_a_drain_is_told_the_last_stream_all_the_same() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    driven.connection.drain(driven.now)
    driven.push()
    assert driven.client.last_stream == 2**31 - 1
    driven.advance(1)
    driven.push()
    assert driven.client.last_stream == 1
    exchange.finish(driven.now)
    driven.push()
    assert driven.client.streams[1].complete
    assert driven.connection.half_close_expected()


def test_at_the_end_of_patience_a_drain_says_at_once_which_stream_was_the_last() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    driven.connection.drain(driven.now)
    driven.push()
    driven.connection.drain(driven.now, patient=False)
    driven.push()
    assert (driven.client.goaway, driven.client.last_stream) == (ErrorCodes.NO_ERROR, 1)
    said = len(driven.wire)
    driven.connection.drain(driven.now, patient=False)
    driven.push()
    assert len(driven.wire) == said
    exchange.finish(driven.now)
    driven.push()
    assert driven.client.streams[1].complete
    assert driven.connection.half_close_expected()


def test_drain_of_an_idle_connection_says_goodbye() -> None:
    driven = idle()
    driven.connection.drain(driven.now)
    driven.push()
    assert (driven.client.goaway, driven.client.last_stream) == (ErrorCodes.NO_ERROR, 2**31 - 1)
    assert not driven.connection.half_close_expected()
    # The client has nothing on its way, as it answers the PING.
    driven.turn()
    assert (driven.client.goaway, driven.client.last_stream) == (ErrorCodes.NO_ERROR, 1)
    assert driven.connection.half_close_expected()


@pytest.mark.parametrize("fresh", [False, True])
def test_drain_without_patience_says_at_once_which_stream_was_the_last(fresh: bool) -> None:
    driven = Driven(b"") if fresh else idle()
    if fresh:
        driven.receive(PREFACE)
    driven.connection.drain(driven.now, patient=False)
    driven.push()
    assert driven.wire.endswith(GOAWAY[:9] + (b"\0\0\0\0" if fresh else b"\0\0\0\x01") + b"\0" * 4)
    assert driven.connection.half_close_expected()


def test_a_request_on_its_way_to_an_idle_connection_that_drains_is_served() -> None:
    driven = idle()
    stream_id = driven.client.request("/on-its-way")
    driven.connection.drain(driven.now)
    driven.receive(driven.client.take())
    assert driven.exchange.draining
    driven.exchange.respond(Response(body="ok"), driven.now)
    driven.turn()
    assert driven.client.streams[stream_id].body == b"ok"
    assert driven.client.last_stream == stream_id
    assert driven.connection.half_close_expected()


def test_drain_leaves_a_new_connection_a_moment_for_its_first_request() -> None:
    driven, client = Driven(b""), Http2Client(65535)
    stream_id = client.request("/first")
    driven.connection.drain(driven.now)
    driven.advance(0.2)
    driven.receive(client.take())
    driven.exchange.respond(Response(body="ok"), driven.now)
    driven.push()
    client.receive(bytes(driven.wire))
    assert client.streams[stream_id].body == b"ok"
    assert client.last_stream == stream_id
    assert driven.connection.half_close_expected()


def test_drain_of_a_new_connection_that_asks_for_nothing_says_goodbye_after_a_moment() -> None:
    driven = Driven(b"")
    driven.receive(PREFACE)
    driven.connection.drain(driven.now)
    driven.advance(0.2)
    driven.push()
    assert not driven.connection.half_close_expected()
    driven.advance(0.1)
    driven.push()
    assert driven.wire.endswith(GOAWAY)
    assert driven.connection.half_close_expected()


def test_after_a_goaway_of_the_client_its_streams_go_on() -> None:
    driven = Driven2(10, reads=False)
    exchange, stream = driven.begin()
    exchange.respond(Response(body="x" * 15), driven.now)
    driven.turn()
    driven.client.give(5, 1)
    driven.receive(frame(7, 0, 0, b"\0" * 8) + driven.client.take())
    driven.push()
    assert stream.body == b"x" * 15
    assert stream.complete
    assert driven.connection.half_close_expected()


def test_a_reset_of_the_last_stream_ends_a_draining_connection() -> None:
    driven = Driven2()
    driven.begin()
    driven.connection.drain(driven.now)
    driven.push()
    driven.receive(frame(3, 0, 1, b"\0\0\0\x08"))
    driven.push()
    assert driven.client.last_stream == 1
    assert driven.connection.half_close_expected()


def test_a_fin_cancels_what_streams_and_lets_the_rest_answer() -> None:
    driven = Driven2()
    (one, _), (two, stream) = driven.begin(), driven.begin()
    driven.request(method="POST", body=None)
    one.write(b"x", driven.now)
    driven.push()
    driven.eof()
    assert driven.outcomes == ["cancelled"]
    two.respond(Response(body="ok"), driven.now)
    driven.push()
    assert stream.body == b"ok"
    assert driven.connection.close_expected()


def test_a_fin_of_an_idle_client_closes() -> None:
    driven = Driven2()
    driven.eof()
    assert driven.connection.close_expected()


def test_a_fin_behind_a_refusal_does_not_eat_it() -> None:
    driven = Driven2()
    driven.client.send_fields(1, ((":method", "CONNECT"), (":authority", "x:80")), b"")
    driven.receive(driven.client.take())
    driven.eof()
    assert not driven.connection.close_expected()
    driven.push()
    assert driven.client.streams[1].status == 501
    assert driven.connection.close_expected()


def test_a_lost_connection_cancels_everything() -> None:
    driven = Driven2()
    exchanges = [driven.begin()[0] for _ in range(3)]
    driven.request(method="POST", body=None)
    driven.lost()
    assert all(exchange.is_over for exchange in exchanges)
    assert driven.outcomes == ["cancelled"] * 3
    assert not driven.connection.wants_write
    driven.advance(1000)


def test_abort_resets_the_connection() -> None:
    driven = Driven2()
    driven.begin()
    driven.connection.abort(driven.now)
    assert driven.outcomes == ["cancelled"]
    assert driven.connection.close_expected() is Closing.RESET


# Clients that mean no good ----------------------------------------------------------------------------


def test_our_settings_are_announced() -> None:
    driven = Driven2()
    settings = driven.client.h2.remote_settings
    assert settings.max_concurrent_streams == 100
    assert settings.max_header_list_size == 65536
    assert settings[9] == 1
    assert settings.enable_push == 0


def test_more_than_100_streams_are_refused_one_by_one() -> None:
    driven = Driven2()
    driven.client.h2.remote_settings.update({SettingCodes.MAX_CONCURRENT_STREAMS: 1000})
    driven.client.h2.remote_settings.acknowledge()
    numbers = [driven.client.request() for _ in range(102)]
    driven.turn()
    assert len(driven.exchanges) == 100
    assert [driven.client.streams[number].reset for number in numbers[100:]] == [7, 7]
    driven.exchanges[0].finish(driven.now)
    driven.turn()
    driven.begin()


def test_rapid_resets_are_an_error_of_the_connection() -> None:
    driven = Driven2()
    for _ in range(200):
        driven.client.h2.reset_stream(driven.client.request())
    driven.turn()
    assert driven.client.goaway is None
    driven.advance(1)
    for _ in range(101):
        driven.client.h2.reset_stream(driven.client.request())
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    "wire",
    [
        PING,
        EMPTY_SETTINGS,
        frame(0, 0, 1),
        frame(2, 0, 1, b"\0\0\0\0\x10"),
        frame(0x10, 0, 0, b"\0\0\0\x01u=1"),
        frame(0x42, 0, 0),
    ],
)
def test_a_flood_is_an_error_of_the_connection(wire: bytes) -> None:
    driven = Driven2()
    driven.request(method="POST", body=None)
    assert driven.connection.wants_read
    driven.receive(wire * 900)
    driven.turn()
    assert driven.client.goaway is None
    driven.receive(wire * 101)
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_answers_that_wait_to_be_read_are_bounded() -> None:
    driven = Driven2()
    driven.begin()
    for _ in range(42):
        driven.receive(PING * 90)
        driven.advance(0.9)
    assert driven.refused == []
    driven.receive(PING * 90)
    assert driven.refused == [400]
    assert sum(map(len, driven.connection.data_to_send(driven.now))) < 68 * 1024
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_continuation_without_end_is_an_error() -> None:
    driven = Driven2()
    driven.receive(frame(1, 0, 1, b"\x82") + frame(9, 0, 1) * 100)
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_header_list_far_beyond_the_limit_ends_the_connection() -> None:
    driven = Driven2()
    driven.client.request(headers=(("a", "x" * 100_000), ("b", "x" * 100_000)))
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_the_table_for_our_headers_stays_small_whatever_the_client_allows() -> None:
    driven = Driven2()
    driven.client.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 1 << 30})
    driven.turn()
    for number in range(3):
        exchange, stream = driven.begin()
        exchange.respond(Response(headers={"a": str(number)}), driven.now)
        driven.turn()
        assert stream.headers["a"] == str(number)
    assert driven.client.h2.decoder.header_table_size == 4096


def test_data_for_a_stream_that_was_reset_is_credited_to_the_connection() -> None:
    driven = Driven2(max_body_len=10)
    number, _ = driven.request(method="POST", body=None)
    driven.receive(frame(0, 0, number, b"x" * 11) + frame(0, 0, number, b"x" * 16384) * 3)
    for _ in range(30):
        later, _ = driven.request(method="POST", body=None)
        driven.receive(frame(0, 0, later, b"x" * 11) + frame(0, 0, later, b"x" * 16384) * 3)
        driven.turn()
    assert driven.client.goaway is None
    # The client of this test doesn't count what it sends by hand.
    sent = 31 * (11 + 3 * 16384)
    assert driven.client.h2.outbound_flow_control_window - sent > 500_000


def test_stray_frames_for_streams_that_are_over_do_nothing() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.finish(driven.now)
    driven.turn()
    driven.receive(frame(8, 0, 1, b"\0\0\0\x01") + frame(3, 0, 1, b"\0\0\0\x08"))
    driven.begin()


# Priorities -------------------------------------------------------------------------------------------


def order_of_ends(driven: Driven2, priorities: list[str], *updates: tuple[int, bytes]) -> list[int]:
    """In which order whole responses of 50 000 bytes come, requested with these priorities."""
    driven.client.give(1 << 24)
    for priority in priorities:
        driven.begin(headers=(("priority", priority),) if priority else ())
    for exchange in driven.exchanges:
        exchange.respond(Response(body=b"x" * 50_000), driven.now)
    for stream, value in updates:
        driven.receive(frame(0x10, 0, 0, stream.to_bytes(4) + value))
    ended: list[int] = []
    while driven.connection.wants_write:
        offer = b"".join(driven.connection.data_to_send(driven.now, 16384))
        driven.connection.bytes_accepted(len(offer), driven.now)
        driven.client.receive(offer)
        for number, stream_ in driven.client.streams.items():
            if stream_.complete and number not in ended:
                ended.append(number)
    return ended


def test_urgency_goes_first() -> None:
    assert order_of_ends(Driven2(), ["u=5", "", "u=0, i", "u=7"]) == [5, 3, 1, 7]


def test_a_priority_update_changes_it_also_ahead_of_the_request() -> None:
    assert order_of_ends(Driven2(), ["", "", ""], (5, b"u=0"), (1, b"u=7")) == [5, 3, 1]
    driven = Driven2()
    driven.receive(frame(0x10, 0, 0, b"\0\0\0\x05u=0") + frame(0x10, 0, 0, b"\0\0\0\x07?"))
    assert order_of_ends(driven, ["", "", ""])[0] == 5


def test_responses_that_are_not_incremental_come_one_after_the_other() -> None:
    assert order_of_ends(Driven2(), ["u=3", "u=3", "u=3"]) == [1, 3, 5]


def test_a_client_that_was_slow_while_handlers_ran_has_stall_timeout_for_the_rest() -> None:
    driven = Driven2()
    exchange, _ = driven.begin()
    exchange.write(b"x" * 1000, driven.now)
    driven.push(100)
    driven.advance(60)
    exchange.reset(driven.now)
    driven.advance(29)
    assert not driven.connection.close_expected()
    driven.advance(1)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET


def test_an_error_behind_a_flood_is_told_once() -> None:
    driven = Driven2()
    driven.begin()
    driven.receive(PING * 4000 + frame(0, 0, 0, b"x"))
    for _ in range(10):
        # The fast engine reads on when others have had their turn.
        driven.advance(0)
    assert driven.refused == [400]
    driven.turn()
    assert driven.client.goaway == ErrorCodes.ENHANCE_YOUR_CALM


def test_a_goodbye_in_pieces() -> None:
    driven = idle()
    driven.receive(GOAWAY)
    driven.push(5)
    assert not driven.connection.half_close_expected()
    driven.push()
    assert driven.connection.half_close_expected()


@pytest.mark.parametrize("rest", [frame(3, 0, 1, b"\0\0\0\x08"), b""])
def test_what_came_along_with_a_body_too_long(rest: bytes) -> None:
    driven = Driven2(max_body_len=10)
    number, stream = driven.request(method="POST", body=None)
    driven.client.h2.send_data(number, b"x" * 11)
    if not rest:
        driven.client.h2.send_headers(number, [("a", "b")], end_stream=True)
    driven.receive(driven.client.take() + rest)
    driven.push()
    assert driven.refused == [413]
    assert stream.status == (0 if rest else 413)
    driven.begin()


def test_a_client_that_never_reads_its_reset_is_given_up() -> None:
    """Also where nothing else has a deadline; what was committed before is with the kernel."""
    driven = Driven2(keepalive_timeout=inf)
    exchange, _ = driven.begin()
    exchange.write(b"x" * 1000, driven.now)
    driven.push()
    exchange.reset(driven.now)
    assert driven.connection.wants_write
    driven.advance(29)
    assert not driven.connection.close_expected()
    driven.advance(1)
    assert driven.connection.close_expected()
    assert driven.connection.close_expected() is Closing.RESET
