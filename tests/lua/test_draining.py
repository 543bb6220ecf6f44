"""The drain, as Lua handlers learn it."""

from tests.lua.conftest import Serve, Served


def drain(served: Served) -> None:
    """As a signal does it; `httpng.shutdown()` resets connections."""
    assert served.app.control is not None
    served.app.control.shutdown(resets=False)


GOODBYE = """
function handler(req, io)
  while not io:wait_draining(1) do
    io:write('tick ' .. tostring(io.draining) .. '\\n')
  end
  io:write('bye ' .. tostring(io.draining) .. '\\n')
end
"""


def test_a_handler_says_goodbye_and_ends_cleanly(serve: Serve) -> None:
    served = serve(GOODBYE)
    client = served.ask()
    served.loop.advance(1.0)
    drain(served)
    served.loop.settle()
    [response] = client.responses()
    assert response.complete
    assert response.body == b"tick nil\nbye true\n"


def test_a_follow_ends_with_the_drain_if_it_is_to(serve: Serve) -> None:
    served = serve("""
        local feed = httpng.feed()
        function handler(req, io)
          feed:publish('newest\\n')
          io:write(told(io:follow(feed, {until_draining = true})) .. ' ' .. tostring(io.draining))
        end
    """)
    client = served.ask()
    drain(served)
    served.loop.settle()
    [response] = client.responses()
    assert response.complete
    assert response.body == b"newest\nnil true"


def test_a_wait_ends_with_its_exchange(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          if req.path == '/wrong' then
            return select(2, pcall(io.wait_draining, io, 'soon'))
          end
          see(io:wait_draining(), io.draining)
        end
    """)
    served.ask().reset()
    assert served.seen() == ["true nil"]
    assert b"timeout must be a number of seconds, not string" in served.answer("/wrong").body


def test_an_option_that_is_no_boolean_raises(serve: Serve) -> None:
    served = serve("""
        function handler(req, io)
          return select(2, pcall(io.follow, io, httpng.feed(), {until_draining = 1}))
        end
    """)
    assert b"until_draining must be true or false" in served.answer().body
