"""`io:abort()` gives an exchange up: the client sees a reset, and calls after that end as cancelled."""

import pytest
from tests.lua.conftest import Serve


def test_what_is_in_flight_is_lost_and_the_client_sees_a_reset(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write(('x'):rep(1000))
          see(io:abort())
          see(told(io:write('more')))
          local stats = io:get_send_stats()
          see(stats.current, stats.cancelled, stats.lag == 0)
        end""")
    client = served.ask(room=0)
    assert client.gone
    client.give_room()
    assert client.take() == b""
    assert served.seen() == ["", "write 0 cancelled", "1000 true true"]


def test_before_anything_was_written_there_is_no_response(serve: Serve) -> None:
    client = serve("function handler(req, io) io:abort() return 'late' end").ask()
    assert client.gone
    assert client.take() == b""


def test_a_call_of_another_fiber_settles(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.send_window = 0
          fiber.create(function() see(told(io:write('x'))) end)
          io:abort()
          fiber.sleep(0)
        end""")
    assert served.ask(room=0).gone
    assert served.seen() == ["write 0 cancelled"]


def test_after_the_end_and_again_it_does_nothing(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write('whole')
          io:close()
          io:wait(0)
          io:abort()
          io:abort()
        end""")
    assert served.answer().body == b"whole"


def test_over_http2_the_stream_alone_is_reset(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          if req.path == '/other' then return 'served' end
          io:write('x')
          io:wait(0)
          io:abort()
        end""")
    peer = served.loop.connect_http2()
    aborted, other = peer.request("/"), peer.request("/other")
    assert aborted.reset is not None
    assert (bytes(aborted.body), aborted.complete) == (b"x", False)
    assert (bytes(other.body), other.complete) == (b"served", True)


@pytest.mark.parametrize(
    ("call", "message"),
    [("io.abort()", "called with a dot, use a colon"), ("io.abort({})", "")],
)
def test_it_wants_an_io(serve: Serve, call: str, message: str) -> None:
    served = serve(f"""
        function handler(req, io)
          local ok, message = pcall(function() {call} end)
          see(ok, message)
        end""")
    served.answer()
    (seen,) = served.seen()
    assert seen.startswith("false ")
    assert message in seen
