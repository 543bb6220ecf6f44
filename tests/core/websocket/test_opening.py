"""The opening handshake: what is accepted, what is refused, and what is answered."""

import subprocess
import sys

import pytest
from tests.core.driving import Driven
from tests.core.websocket.speaking import TEXT, Socket, frame, request

from httpng_core import HandshakeError, Headers, Request, ResponseStateError
from httpng_core.websocket import WebSocket

ALONE = "server_no_context_takeover"


def test_the_answer_is_that_of_the_rfc() -> None:
    assert Socket().head == [
        "HTTP/1.1 101 Switching Protocols",
        "upgrade: websocket",
        "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "connection: upgrade",
    ]


@pytest.mark.parametrize("connection", ["keep-alive, Upgrade", "upgrade", "UPGRADE,x"])
def test_upgrade_is_one_of_the_options_of_connection(connection: str) -> None:
    assert Socket(request(connection=connection)).head[0].startswith("HTTP/1.1 101")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"upgrade": ""}, 400),
        ({"upgrade": "h2c"}, 400),
        ({"connection": "keep-alive"}, 400),
        ({"sec_websocket_version": ""}, 426),
        ({"sec_websocket_version": "8"}, 426),
        ({"sec_websocket_key": ""}, 400),
        ({"sec_websocket_key": "c2hvcnQ="}, 400),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZQ"}, 400),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25j!Q=="}, 400),
        ({"sec_websocket_key": "dGhlIHNhbXBsZSBub25jZWU0"}, 400),
    ],
)
def test_what_is_no_handshake_is_refused(headers: dict[str, str], status: int) -> None:
    driven = Driven(request(**headers))
    with pytest.raises(HandshakeError) as refused:
        WebSocket(driven.exchange, driven.now)
    assert refused.value.status == status
    # Nothing was sent: the handler may answer as it likes.
    driven.exchange.answer(403, None, b"no", driven.now)
    driven.push()
    assert [response.status for response in driven.responses()] == [403]


def test_a_version_that_is_not_spoken_names_the_one_that_is() -> None:
    with pytest.raises(HandshakeError) as refused:
        Socket(request(sec_websocket_version="8"))
    assert refused.value.headers["sec-websocket-version"] == "13"


@pytest.mark.parametrize("line", [b"POST /chat HTTP/1.1", b"GET /chat HTTP/1.0"])
def test_only_get_of_http_1_1_asks_for_one(line: bytes) -> None:
    head = request().replace(b"GET /chat HTTP/1.1", line)
    if line.startswith(b"POST"):
        head = head.replace(b"host: x", b"host: x\r\ncontent-length: 0")
    with pytest.raises(HandshakeError):
        Socket(head)


def test_a_server_may_accept_none() -> None:
    driven = Driven(request(), ws="none")
    with pytest.raises(HandshakeError, match="ws is 'none'") as refused:
        WebSocket(driven.exchange, driven.now)
    assert refused.value.status == 501
    assert driven.exchange.head is None


def test_two_keys_are_none() -> None:
    with pytest.raises(HandshakeError, match="once"):
        Socket(request().replace(b"\r\n\r\n", b"\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))


def test_a_subprotocol_is_one_that_the_client_offers() -> None:
    offer = request(sec_websocket_protocol="chat, superchat")
    assert "sec-websocket-protocol: superchat" in Socket(offer, subprotocol="superchat").head
    assert not any("protocol" in line for line in Socket(offer).head)
    with pytest.raises(ValueError, match=r"'other' is none that the client offers: chat, superchat"):
        Socket(offer, subprotocol="other")


def test_headers_of_the_handler_go_with_it() -> None:
    driven = Driven(request())
    WebSocket(driven.exchange, driven.now, headers={"set-cookie": "a=b"})
    driven.push()
    assert b"\r\nset-cookie: a=b\r\n\r\n" in driven.wire


@pytest.mark.parametrize(
    "name", ["upgrade", "sec-websocket-accept", "sec-websocket-extensions", "content-length"]
)
def test_headers_of_the_handshake_are_not_the_handlers(name: str) -> None:
    driven = Driven(request())
    with pytest.raises(ValueError, match=name):
        WebSocket(driven.exchange, driven.now, headers={name: "1"})
    assert driven.exchange.head is None


def test_after_a_header_block_it_is_too_late() -> None:
    driven = Driven(request())
    driven.header()
    with pytest.raises(ResponseStateError, match="after sending HTTP headers"):
        WebSocket(driven.exchange, driven.now)


def test_of_a_client_that_is_gone_it_is_over() -> None:
    driven = Driven(request())
    driven.lost()
    ws = WebSocket(driven.exchange, driven.now)
    assert (ws.is_open, ws.close_code, ws.take(driven.now)) == (False, 1006, None)
    told = ws.send("x", driven.now).result
    assert told is not None
    assert (told.cancelled, told.body_bytes_sent) == (True, 0)


def test_frames_behind_the_handshake_are_not_lost() -> None:
    socket = Socket(request() + frame(TEXT, b"early"))
    assert socket.take_all() == ["early"]


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", ALONE),
        (
            "permessage-deflate; client_max_window_bits",
            f"{ALONE}; client_max_window_bits=15",
        ),
        (
            "permessage-deflate; server_max_window_bits=10",
            f"{ALONE}; server_max_window_bits=10",
        ),
        (
            'permessage-deflate; server_max_window_bits="9"',
            f"{ALONE}; server_max_window_bits=9",
        ),
        (
            "permessage-deflate; client_no_context_takeover",
            f"client_no_context_takeover; {ALONE}",
        ),
        ("x-other, permessage-deflate; bad, PerMessage-Deflate", ALONE),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", ALONE),
    ],
)
def test_the_first_offer_of_compression_that_is_sound_is_taken(offer: str, answer: str) -> None:
    socket = Socket(request(sec_websocket_extensions=offer))
    assert f"sec-websocket-extensions: permessage-deflate; {answer}" in socket.head


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=abc",
        "permessage-deflate; client_max_window_bits=09",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; unknown",
        "x-webkit-deflate-frame",
    ],
)
def test_an_offer_that_is_not_sound_is_declined(offer: str) -> None:
    assert not any("extensions" in line for line in Socket(request(sec_websocket_extensions=offer)).head)


def test_compression_can_be_switched_off() -> None:
    socket = Socket(request(sec_websocket_extensions="permessage-deflate"), ws_per_message_deflate=False)
    assert not any("extensions" in line for line in socket.head)


def test_the_calls_of_a_response_are_refused_once_it_is_accepted() -> None:
    socket = Socket()
    with pytest.raises(ResponseStateError, match="use its send"):
        socket.write(b"raw")
    with pytest.raises(ResponseStateError, match="must return None"):
        socket.exchange.answer(200, None, b"body", socket.now)
    with pytest.raises(ResponseStateError):
        socket.header()


def test_http_1_0_has_no_websockets() -> None:
    names = (b"upgrade", b"connection", b"sec-websocket-version")
    values = (b"websocket", b"upgrade", b"13")
    asked = Request("GET", "/", headers=Headers(zip(names, values, strict=True)), version_minor=0)
    driven = Driven(request())
    driven.exchange.request = asked
    with pytest.raises(HandshakeError, match=r"HTTP/1\.0"):
        WebSocket(driven.exchange, driven.now)


def test_a_request_whose_body_is_still_to_come_opens_none() -> None:
    driven = Driven(request())
    driven.exchange.request.body = None  # type: ignore[assignment]
    with pytest.raises(HandshakeError, match="with a body"):
        WebSocket(driven.exchange, driven.now)


def test_one_receive_waits_at_a_time() -> None:
    socket = Socket()
    first = socket.ws.inbox.arrival()
    with pytest.raises(RuntimeError, match="another receive"):
        socket.ws.inbox.arrival()
    socket.ws.inbox.forget(first)
    second = socket.ws.inbox.arrival()
    socket.ws.inbox.forget(first)
    socket.receive(frame(TEXT, b"x"))
    assert (first.settled, second.settled) == (False, True)


WITHOUT = """
import sys
sys.modules[{module!r}] = None
from httpng_core.testing import Loopback

def handler(req, io):
    yield io.accept_websocket()

try:
    Loopback(handler, raises=True).connect().send({request!r})
except ImportError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("wsproto", "WebSockets need wsproto: install httpng-core[websocket]"),
        ("httpng_core.websocket.deflate", "import of httpng_core.websocket.deflate halted"),
    ],
)
def test_without_wsproto_a_handler_learns_what_to_install(module: str, told: str) -> None:
    script = WITHOUT.format(module=module, request=request())
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith(told)
