"""The access log: what each line says, as text and as JSON, of requests that are refused as well."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from httpng_core import (
    Application,
    EndKind,
    ExchangeEnded,
    GeneratorIO,
    Request,
    RequestRefused,
    Router,
    confirmations,
)
from httpng_core.testing import Client, Loopback

LONG = b"x" * 100


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def entries(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [record.access for record in caplog.records if record.name == "httpng.access"]  # type: ignore[attr-defined]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "httpng.access"]


def streaming(req: Request, io: GeneratorIO) -> Iterator[Any]:
    yield io.write(LONG, timeout=60)
    if req.path == "/short":
        yield io.write(LONG, timeout=1)
    if req.path == "/abort":
        io.abort()
    if req.path == "/raise":
        raise KeyError
    if req.path == "/wait":
        yield io.wait(0, timeout=1000)


def short(req: Request, io: GeneratorIO) -> Iterator[Any]:
    yield io.write_header(200, {"content-length": "5"})
    yield io.write("1234")


def stuck(loop: Loopback, path: str, room: float = 0) -> Client:
    client = loop.connect(room=room)
    client.get(path)
    return client


def too_slow(loop: Loopback) -> None:
    stuck(loop, "/")
    loop.advance(30)
    loop.advance(0.1)


def falling_short(loop: Loopback) -> None:
    client = stuck(loop, "/short")
    loop.advance(1)
    client.give_room()


ENDS: dict[str, Callable[[Loopback], object]] = {
    "complete": lambda loop: loop.connect().get("/"),
    "client_reset": lambda loop: stuck(loop, "/wait").reset(),
    "client_fin": lambda loop: stuck(loop, "/wait").half_close(),
    "stalled": lambda loop: too_slow(loop),
    "send_timeout": lambda loop: falling_short(loop),
    "handler_abort": lambda loop: stuck(loop, "/abort"),
    "handler_error": lambda loop: loop.connect().get("/raise"),
    "short_body": lambda loop: Loopback(short, access_log=True).connect().get("/"),
    "refused(400)": lambda loop: loop.connect().send(b"GET / HTTP/1.1\r\n\r\n"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("form", ["text", "json"])
def test_each_end_has_its_word_in_the_access_log_and_in_the_line_of_an_abort(
    caplog: pytest.LogCaptureFixture, end: str, form: str
) -> None:
    loop = Loopback(streaming, access_log=True, access_log_format=form, default_send_window=150)
    ENDS[end](loop)
    assert [entry["end"] for entry in entries(caplog)] == [end]
    aborts = [r.getMessage() for r in caplog.records if r.name == "httpng" and " was " in r.getMessage()]
    if end in ("complete", "refused(400)", "handler_error"):
        # To the client these are whole answers.
        assert aborts == []
    else:
        assert [line.rpartition("end=")[2] for line in aborts] == [end]
    assert end.partition("(")[0] in set(EndKind)


def test_json_has_a_time_stamp_and_all_keys(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loopback(lambda req: "hello", access_log=True, access_log_format="json")
    loop.runner = loop.application.runner(loop.clock, wall_clock=lambda: 0.5)
    loop.connect().get("/a?b")
    (line,) = lines(caplog)
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "client": "192.0.2.1",
        "method": "GET",
        "target": "/a?b",
        "version": "1.1",
        "status": 200,
        "forwarded_for": None,
        "route": "-",
        "first_byte": 0.0,
        "seconds": 0.0,
        "current": 5,
        "sent": 5,
        "acked": None,
        "confirmed": None,
        "lag": 0.0,
        "stalled": {},
        "outcome": "complete",
        "end": "complete",
    }


def test_the_first_byte_and_the_largest_lag(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loopback(streaming, access_log=True)
    client = stuck(loop, "/")
    loop.advance(2)
    client.give_room(150)
    loop.advance(3)
    client.give_room()
    (entry,) = entries(caplog)
    assert (entry["first_byte"], entry["seconds"], entry["lag"]) == (2.0, 5.0, 5.0)


def test_what_the_client_has_confirmed(caplog: pytest.LogCaptureFixture) -> None:
    told = confirmations("/confirm")

    def events(req: Request, io: GeneratorIO) -> Iterator[Any]:
        yield io.write(told.event(io))
        io.window_until = "confirmed"
        yield io.write(b"data: 1\n\n")
        yield io.wait(0, until="sent")
        if req.path == "/raise":
            raise KeyError

    loop = Loopback(events, access_log=True)
    for path in ("/", "/raise"):
        loop.connect().get(path)
    entry, _ = entries(caplog)
    assert entry["confirmed"] == 0
    assert all(" acked=- confirmed=0 lag=" in line for line in lines(caplog))
    (aborted,) = [record.getMessage() for record in caplog.records if "was cut short" in record.getMessage()]
    assert " acked=- confirmed=0 end=handler_error" in aborted


def test_the_answer_in_place_of_the_handlers_counts_as_sent(caplog: pytest.LogCaptureFixture) -> None:
    def failing(req: Request) -> str:
        raise KeyError

    client = Loopback(failing, access_log=True).connect()
    client.get()
    (entry,) = entries(caplog)
    (response,) = client.responses()
    assert (entry["status"], entry["sent"], entry["end"]) == (500, len(response.body), "handler_error")


def test_the_route_is_that_of_the_router_or_of_the_site(caplog: pytest.LogCaptureFixture) -> None:
    router = Router()
    router.route("/users/:id", lambda req: "user")
    sites = [{"path": "/users", "handler": router}, {"path": "/plain", "handler": lambda req: "x"}]
    loop = Loopback(Application(sites=sites, access_log=True))
    for path in ("/users/7", "/plain/x", "/other"):
        loop.connect().get(path)
    assert [entry["route"] for entry in entries(caplog)] == ["/users/:id", "/plain", "-"]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_refused_requests_are_told_with_what_is_known_of_them(
    caplog: pytest.LogCaptureFixture, engine: str
) -> None:
    loop = Loopback(lambda req: "x", access_log=True, http1_engine=engine, max_body_len=10)
    loop.connect().send(b"nonsense\r\n\r\n")
    loop.connect().get("/long", "POST", body=b"x" * 11)
    loop.connect().send(b'GET /a"b\xff HTTP/1.1\r\n\r\n')
    told = [(e["client"], e["status"], e["end"]) for e in entries(caplog)]
    assert told == [("192.0.2.1", status, f"refused({status})") for status in (400, 413, 400)]
    if engine == "fast":
        first, long, wrong = lines(caplog)
        assert first.startswith('192.0.2.1 "- - HTTP/-" status=400 end=refused(400): ')
        assert long.startswith('192.0.2.1 "POST /long HTTP/1.1" status=413 end=refused(413): ')
        assert '"' not in wrong.split('"', 1)[1].split(" HTTP/")[0].replace('\\"', "")


def test_a_body_that_is_too_long_over_http2_names_its_request(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loopback(lambda req: "x", access_log=True, max_body_len=10)
    loop.connect_http2().request("/long", "POST", body=b"x" * 11)
    (line,) = lines(caplog)
    assert line.startswith('192.0.2.1 "POST /long HTTP/2" status=413 end=refused(413): ')


def test_floods_of_refusals_and_of_aborts_are_a_few_lines_and_a_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = Loopback(streaming, access_log=True)
    for _ in range(25):
        loop.connect().send(b"nonsense\r\n\r\n")
        stuck(loop, "/wait").reset()
    before = [r.getMessage() for r in caplog.records]
    assert sum("end=refused" in line for line in before) == 10
    assert sum("was cancelled" in line for line in before) == 10
    assert sum("cancelled end=" in line for line in before) == 25
    loop.advance(1)
    after = [r.getMessage() for r in caplog.records][len(before) :]
    assert "refused(400): ... and 15 more" in after
    assert "client_reset: ... and 15 more" in after


def test_events_say_the_same() -> None:
    loop = Loopback(streaming)
    connection = loop.application.connection(0.0)
    connection.receive_data(b"nonsense\r\n\r\n", 0.0)
    refused = connection.next_event()
    assert isinstance(refused, RequestRefused)
    assert refused.end == "refused(400)"
    connection = loop.application.connection(0.0)
    connection.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0.0)
    connection.next_event()
    connection.abort(1.0)
    ended = connection.next_event()
    assert isinstance(ended, ExchangeEnded)
    assert (ended.end, ended.cause) == ("drain_timeout", "the server was shut down")


@pytest.mark.parametrize(
    ("header", "field", "told"),
    [
        ("x-forwarded", "X-Forwarded-For: 10.0.0.1, 10.0.0.2", "10.0.0.1, 10.0.0.2"),
        ("forwarded", 'Forwarded: for="[::1]"', 'for="[::1]"'),
        ("x-forwarded", "Forwarded: for=10.0.0.1", None),
    ],
)
def test_of_whom_a_request_says_it_was_forwarded_for(
    caplog: pytest.LogCaptureFixture, header: str, field: str, told: str | None
) -> None:
    loop = Loopback(lambda req: "hello", access_log=True, forwarded_header=header)
    loop.connect().send(f"GET / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n".encode())
    (entry,) = entries(caplog)
    assert (entry["forwarded_for"], entry["client"]) == (told, "192.0.2.1")
    (line,) = lines(caplog)
    quoted = "" if told is None else told.replace('"', '\\"')
    assert line.endswith(f'end=complete forwarded_for="{quoted}"' if told else "end=complete")


def test_a_logger_that_is_off_gets_no_line(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loopback(streaming, access_log=True)
    with caplog.at_level(logging.WARNING, "httpng.access"):
        loop.connect().get("/")
        assert entries(caplog) == []
    loop.connect().get("/")
    assert [entry["end"] for entry in entries(caplog)] == ["complete"]
