"""Windows and waits that count until acknowledged, from Lua."""

import pytest
from tests.lua.conftest import Serve


def test_a_window_until_acked_waits_for_acknowledgements(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.window_until, io.send_window = 'acked', 100
          fiber.sleep(1)
          see(told(io:write(('a'):rep(100))))
          see(told(io:write(('b'):rep(100), 1)))
          local stats = io:get_send_stats()
          see(stats.sent, stats.acked)
          see(told(io:write(('c'):rep(100))))
        end""")
    client = served.ask()
    client.acknowledges = False
    served.loop.advance(2.5)
    assert served.seen() == ["nil", "write 0", "100 0"]
    client.acknowledge()
    assert served.seen()[3:] == ["nil"]


def test_a_wait_until_acked(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io:write('12345')
          see(told(io:wait(0, 5)))
          see(told(io:wait(5, 5, 'acked')))
          see(io:get_send_stats().acked)
        end""")
    served.ask()
    assert served.seen() == ["wait true", "wait true", "5"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("io:wait(0, 1, 'done')", 'until must be "sent", "acked" or "confirmed", not \'done\''),
        ("io:wait(0, 1, 5)", 'until must be "sent", "acked" or "confirmed", not a number'),
        ("io.window_until = {} io:write('x')", 'until must be "sent", "acked" or "confirmed", not a table'),
        ("io.stall_timeout = 'x' io:write('x')", "stall_timeout must be a number of seconds, not string"),
        ("io.stall_timeout = 0 io:write('x')", "stall_timeout must be more than 0 seconds"),
    ],
)
def test_wrong_values_raise(serve: Serve, code: str, text: str) -> None:
    served = serve(f"function handler(req, io) see(select(2, pcall(function() {code} end))) end")
    served.ask()
    assert served.seen() == [text]


def test_a_stalled_exchange_is_aborted(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          io.stall_timeout = 3
          see(told(io:write(('x'):rep(10))))
          see(told(io:wait(0, 100)))
        end""")
    served.ask(room=5)
    served.loop.advance(4)
    assert served.seen() == ["nil", "wait false cancelled"]
