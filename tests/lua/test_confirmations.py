"""httpng.confirmations: streams of a script whose clients say what they have."""

import json

import pytest
from tests.lua.conftest import Serve

from httpng_core.languages import CONFIRMATIONS_HELPER
from httpng_core.testing import Client


def post(client: Client, body: str) -> int:
    client.send(f"POST /confirm HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
    return client.responses()[-1].status


def test_a_stream_is_confirmed_by_small_requests(serve: Serve) -> None:
    served = serve(
        """
        local confirmations = httpng.confirmations('/confirm')
        function handler(req, io)
          if req.path == confirmations.path then return confirmations.handler(req, io) end
          io.headers = httpng.sse_headers()
          io:write(confirmations:event(io))
          io.window_until, io.send_window = 'confirmed', 0
          see(told(io:write(httpng.sse_event('a'), 100)))
          see(told(io:wait(0, 100)), io:get_send_stats().confirmed > 0)
          see(pcall(confirmations.event, confirmations, io))
        end"""
    )
    stream, other = served.ask(), served.ask("/confirm")
    assert other.responses()[0].body == CONFIRMATIONS_HELPER.encode()
    other = served.loop.connect()
    (response,) = stream.responses()
    first = response.body.decode().split("\n\n")[0]
    token = json.loads(first.split("data: ")[1])["token"]
    assert json.loads(first.split("data: ")[1])["path"] == "/confirm"
    assert post(other, f"{token} 99999") == 409
    assert post(other, "nobody 1") == 404
    assert post(other, "nothing") == 400
    for _ in range(2):
        marks = [each for each in stream.responses()[0].body.decode().split("\n\n") if "confirm\n" in each]
        assert post(other, f"{token} {marks[-1].split('data: ')[1]}") == 204
    assert stream.responses()[0].complete
    seen = served.answer("/seen").body.decode().split("\n")
    assert seen[:2] == ["nil", "wait true true"]
    assert "already" in seen[2]
    assert post(other, f"{token} 1") == 404


@pytest.mark.parametrize("path", ["nil", "5", "'x'", "''", "{}"])
def test_a_path_begins_with_a_slash(serve: Serve, path: str) -> None:
    served = serve(f"function handler(req, io) return select(2, pcall(httpng.confirmations, {path})) end")
    assert b"path of confirmations" in served.answer().body


def test_what_is_no_confirmations_raises(serve: Serve) -> None:
    served = serve(
        """
        function handler(req, io)
          local confirmations = httpng.confirmations('/x')
          see(pcall(confirmations.event, {}, io))
          see(pcall(confirmations.event, confirmations, {}))
          return confirmations:token(io):len() >= 20 and 'token' or ''
        end"""
    )
    assert served.answer().body == b"token"
    assert served.answer("/seen").body.split(b"\n") == [
        b"false confirmations is invalid",
        b"false shuttle is invalid",
    ]
