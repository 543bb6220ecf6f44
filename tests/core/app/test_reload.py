"""Reloading: handlers and settings that are replaced while clients are connected."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import trusting
from tests.core.conftest import Make

from httpng_core import (
    Application,
    CertificateFiles,
    Certificates,
    ConfigError,
    Configuration,
    GeneratorIO,
    ListenAddress,
    Pending,
    Request,
    RequestRefused,
    ServerState,
    ServerVerb,
    Site,
)
from httpng_core.languages import Language
from httpng_core.sending import ResponseState
from httpng_core.testing import Client, Http2Peer, Loopback, TlsEnd

BODY = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


def telling(name: str) -> Any:
    return lambda req: f"{name} {req.path}"


def old(req: Request) -> str:
    return "old"


def new(req: Request) -> str:
    return "new"


def endless(req: Request, io: GeneratorIO) -> Iterator[Pending]:
    while True:
        if (yield io.write(b"x" * 100)) is not None:
            return


async def an_async_generator() -> AsyncIterator[None]:
    yield


class Ticking:
    """A handler that writes, waits for a second, and writes again."""

    def __init__(self, name: bytes) -> None:
        self.name = name

    def __call__(self, req: Request, io: GeneratorIO) -> Iterator[Pending]:
        yield io.write(self.name)
        yield io.wait(0, 1)
        yield io.write(self.name)


def ask(loop: Loopback, target: str = "/") -> bytes:
    client = loop.connect()
    client.get(target)
    [response] = client.responses()
    return response.body if response.status == 200 else b"%d" % response.status


# Handlers ----------------------------------------------------------------------------------------------


def test_requests_after_it_find_the_new_handlers() -> None:
    app = Application(old)
    loop = Loopback(app)
    assert ask(loop) == b"old"
    app.reconfigure(
        sites=[{"path": "/", "handler": telling("root")}, {"path": "/a", "handler": telling("a")}]
    )
    assert [ask(loop, path) for path in ("/a/x", "/b")] == [b"a /a/x", b"root /b"]
    assert [site.path for site in app.sites] == ["/a", "/"]
    app.reconfigure()
    assert [ask(loop, path) for path in ("/a", "/")] == [b"404", b"404"]
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_open_connections_find_them_too() -> None:
    app = Application(old)
    loop = Loopback(app)
    plain, http2 = loop.connect(), loop.connect_http2()
    plain.get()
    assert http2.request().body == b"old"
    app.reconfigure(new)
    plain.get()
    assert http2.request().body == b"new"
    assert [one.body for one in plain.responses()] == [b"old", b"new"]


def test_a_pipelined_request_finds_what_is_there_when_its_turn_comes() -> None:
    app = Application(Ticking(b"old"))
    loop = Loopback(app)
    client = loop.connect(room=0)
    client.get()
    client.get()
    app.reconfigure(new)
    client.give_room()
    assert [one.body for one in client.responses()] == [b"oldold", b"new"]


def test_handlers_that_run_finish_as_they_began() -> None:
    app = Application(Ticking(b"old"))
    loop = Loopback(app)
    plain, http2 = loop.connect(room=0), loop.connect_http2(room=0)
    plain.get()
    stream = http2.request()
    app.reconfigure(Ticking(b"new"))
    for client in (plain, http2):
        client.give_room()
    assert plain.responses()[0].body == b"oldold"
    assert stream.body == b"oldold"
    assert ask(loop) == b"newnew"


# All or nothing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cfg", "text"),
    [
        ({"handler": new, "stall_timeout": -1}, "stall_timeout is -1, must be a number > 0, or infinity"),
        ({"handler": new, "listen": 3300}, "listen can't be changed on reconfiguration"),
        ({"handler": new, "listen": None}, "listen can't be changed on reconfiguration"),
        ({"handler": new, "shuttle_size": 1024}, "Reconfiguration can't change shuttle_size"),
        ({"handler": "/srv"}, "replacing Python handler with file handler is not supported"),
        ({"handler": new, "no_such": 5}, "unknown parameter no_such; the nearest known one is notsent_lowat"),
        ({"sites": [{"path": "/a", "handler": new}] * 2}, "Can't add duplicate paths"),
    ],
)
def test_what_is_wrong_changes_nothing(cfg: dict[str, Any], text: str) -> None:
    app = Application(old, max_body_len=5)
    loop = Loopback(app)
    before = app.configuration
    with pytest.raises(ConfigError) as raised:
        app.reconfigure(**cfg)
    assert str(raised.value).split(";")[0] == text.split(";")[0]
    assert app.configuration is before
    assert ask(loop) == b"old"
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_a_handler_of_no_form_changes_nothing() -> None:
    app = Application(old)
    loop = Loopback(app)
    with pytest.raises(TypeError, match="must take"):
        app.reconfigure(lambda a, b, c: None)
    assert ask(loop) == b"old"


def test_what_the_server_cannot_do_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Application(old, max_body_len=5)
    loop = Loopback(app)
    seen = []

    def refuse(configuration: Configuration) -> None:
        seen.append((configuration.settings.max_body_len, app.settings.max_body_len))
        raise ConfigError("no such directory")

    monkeypatch.setattr(loop.server, "reconfigure", refuse)
    with pytest.raises(ConfigError, match="no such directory"):
        app.reconfigure(new, max_body_len=7)
    assert seen == [(7, 5)]
    assert (app.settings.max_body_len, ask(loop)) == (5, b"old")
    monkeypatch.undo()
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_it_is_not_done_within_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Application(old)
    loop = Loopback(app)

    def again(configuration: Configuration) -> None:
        with pytest.raises(RuntimeError, match="Reconfiguration is already in progress"):
            app.reconfigure(telling("inner"))

    monkeypatch.setattr(loop.server, "reconfigure", again)
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_an_application_that_nobody_runs_yet() -> None:
    app = Application(old, listen="127.0.0.1:80")
    app.reconfigure(new, default_send_window=7)
    assert (app.settings.default_send_window, app.listen[0].port) == (7, 80)
    loop = Loopback(app)
    assert ask(loop) == b"new"


# Settings ----------------------------------------------------------------------------------------------


def test_requests_on_open_connections_are_under_the_new_settings() -> None:
    app = Application(old, max_body_len=100, default_send_timeout=1)
    loop = Loopback(app)
    plain, http2 = loop.connect(), loop.connect_http2()
    plain.get()
    http2.request()
    app.reconfigure(new, max_body_len=5)
    assert http2.request(method="POST", body=b"x" * 10).status == 413
    plain.send(BODY)
    assert [one.status for one in plain.responses()] == [200, 413]
    assert [exchange.settings.default_send_timeout for exchange in loop.exchanges] == [1, 1]
    http2.request()
    assert loop.exchanges[-1].settings is app.settings


def test_a_request_that_is_not_whole_is_under_the_new_settings() -> None:
    app = Application(old)
    loop = Loopback(app)
    client = loop.connect()
    client.send(BODY[:-4])
    app.reconfigure(new, max_body_len=5, keepalive_timeout=3, body_timeout=2)
    client.send(BODY[-4:])
    assert [one.status for one in client.responses()] == [413]


def test_a_longer_body_is_taken_on_http2() -> None:
    app = Application(lambda req: str(len(req.body)), max_body_len=10)
    loop = Loopback(app)
    client = loop.connect_http2()
    assert client.request().body == b"0"
    app.reconfigure(lambda req: f"new {len(req.body)}", max_body_len=1 << 20)
    assert client.request(method="POST", body=b"x" * 9000).body == b"new 9000"


def test_an_exchange_keeps_what_it_began_with() -> None:
    app = Application(endless, default_send_timeout=60, default_send_window=100)
    loop = Loopback(app)
    client = loop.connect(room=0)
    client.get()
    loop.settle()
    app.reconfigure(endless, default_send_timeout=1)
    [exchange] = loop.exchanges
    loop.advance(59)
    assert exchange.state is ResponseState.STREAMING
    # The write has fallen short, and the handler returned.
    loop.advance(2)
    assert exchange.stats(loop.clock()).cancelled
    assert exchange.settings.default_send_timeout == 60


@pytest.mark.parametrize(("before", "after", "ends_at"), [(60, 5, 60), (5, 60, 5)])
@pytest.mark.parametrize("http2", [False, True])
def test_a_flush_is_timed_by_what_its_exchange_began_with(
    before: float, after: float, ends_at: float, http2: bool
) -> None:
    app = Application(lambda req: b"x" * 100, stall_timeout=before)
    loop = Loopback(app)
    client: Client = loop.connect_http2() if http2 else loop.connect()
    loop.settle()
    client.room = 10
    if isinstance(client, Http2Peer):
        client.request()
    else:
        client.get()
    app.reconfigure(lambda req: b"", stall_timeout=after)
    [exchange] = loop.exchanges
    # The connection as a whole is given up by the longest that counts for one of its exchanges.
    assert client.connection.stall_limit == (60 if http2 else before)
    states = []
    for seconds in (ends_at - 0.5, 1):
        loop.advance(seconds)
        states.append(exchange.state)
    assert states == [ResponseState.ENDED, ResponseState.RESET]


def test_an_http2_flush_that_begins_later_keeps_its_time_too() -> None:
    app = Application(Ticking(b"x" * 100), stall_timeout=60)
    loop = Loopback(app)
    client = loop.connect_http2(window=10, reads=False)
    stream = client.request()
    app.reconfigure(new, stall_timeout=5)
    # The client's window for the stream is used up, the connection's isn't: only the stream has stalled.
    loop.advance(1 + 59)
    assert stream.reset is None
    loop.advance(2)
    assert stream.reset is not None


def test_an_idle_http2_connection_is_under_the_new_settings_at_once() -> None:
    app = Application(old, keepalive_timeout=75)
    loop = Loopback(app)
    client = loop.connect_http2()
    client.request()
    loop.advance(10)
    app.reconfigure(new, keepalive_timeout=20)
    loop.advance(9.5)
    assert not client.closed
    loop.advance(1)
    assert client.closed


def test_an_idle_http1_connection_keeps_its_deadline_until_the_next_request() -> None:
    app = Application(old, keepalive_timeout=10)
    loop = Loopback(app)
    client = loop.connect()
    client.get()
    app.reconfigure(new, keepalive_timeout=20)
    loop.advance(9)
    client.get()
    loop.advance(19)
    assert not client.closed
    loop.advance(2)
    assert client.closed


def test_over_tls(pair: CertificateFiles, certificates: Certificates) -> None:
    app = Application(old)
    loop = Loopback(app, certificates=certificates)
    client = loop.connect(tls=TlsEnd(trusting(pair), server_side=False, server_hostname="localhost"))
    client.get()
    app.reconfigure(new, max_body_len=5)
    client.send(BODY)
    assert [one.status for one in client.responses()] == [200, 413]


def test_before_the_handshake(make: Make) -> None:
    sealed = make()
    settings = Application(old, max_body_len=5, handshake_timeout=3).settings
    sealed.connection.reconfigure(settings, sealed.now)
    sealed.shake().send(BODY)
    assert [event.status for event in sealed.events if isinstance(event, RequestRefused)] == [413]


def test_the_access_log_can_be_turned_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "httpng.access")
    app = Application(old)
    loop = Loopback(app)
    ask(loop)
    app.reconfigure(new, access_log=True)
    ask(loop, "/logged")
    app.reconfigure(new)
    ask(loop)
    assert [record.getMessage().split('"')[1] for record in caplog.records] == ["GET /logged HTTP/1.1"]


# Settings of the one who runs it -----------------------------------------------------------------------


def test_settings_that_win_go_on_winning() -> None:
    app = Application(old, max_body_len=1).with_settings(max_body_len=2, shuttle_size=2048)
    app.reconfigure(new, max_body_len=3, stall_timeout=4, shuttle_size=9999)
    assert (app.settings.max_body_len, app.settings.stall_timeout, app.settings.shuttle_size) == (2, 4, 2048)


def test_the_one_that_was_changed_is_another_one() -> None:
    app = Application(old)
    changed = app.with_settings(max_body_len=5)
    loop = Loopback(changed)
    changed.reconfigure(new)
    assert (app.handler is changed.handler, app.control, ask(loop)) == (False, None, b"new")
    changed.shutdown()
    assert (app.lifecycle.state, changed.lifecycle.state) == (ServerState.RUNNING, ServerState.STOPPING)


@pytest.mark.parametrize("key", ["handler", "sites", "listen", "lua", "uvloop"])
def test_what_is_no_setting_is_refused(key: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Application(old).with_settings(**{key: None})
    assert str(raised.value) == f"{key} is no setting: give it to Application"


# Shutting down, and up again ---------------------------------------------------------------------------


def test_a_shutdown_settles_when_all_is_down() -> None:
    app = Application(endless, shutdown_timeout=10)
    loop = Loopback(app)
    busy, idle = loop.connect(room=0), loop.connect()
    busy.get()
    pending = app.shutdown()
    with pytest.raises(ConnectionRefusedError):
        loop.connect()
    with pytest.raises(ConnectionRefusedError):
        loop.connect_http2()
    for refused in (app.shutdown, app.reconfigure):
        with pytest.raises(RuntimeError, match="shutdown is in progress"):
            refused()
    with pytest.raises(RuntimeError, match="Shutdown is in progress"):
        app.force_decrease_threads()
    loop.advance(9)
    assert idle.closed
    assert not pending.settled
    loop.advance(2)
    assert pending.settled
    assert busy.gone
    assert app.lifecycle.state is ServerState.STOPPED
    loop.settle()
    with pytest.raises(RuntimeError, match="Server is not launched"):
        app.shutdown()
    with pytest.raises(RuntimeError, match="Not configured, nothing to terminate"):
        app.force_decrease_threads()


def test_a_configuration_may_follow_a_shutdown() -> None:
    app = Application(old, listen="127.0.0.1:80", shuttle_size=2048)
    loop = Loopback(app)
    app.shutdown()
    loop.settle()
    with pytest.raises(ConfigError, match="No handlers specified"):
        app.reconfigure()
    assert app.lifecycle.state is ServerState.STOPPED
    app.reconfigure("/srv", listen="127.0.0.1:81", shuttle_size=4096)
    assert (app.listen[0].port, app.settings.shuttle_size, app.directories) == (81, 4096, ["/srv"])
    app.shutdown()
    loop.settle()
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_a_start_that_fails_leaves_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Application(old)
    loop = Loopback(app)
    app.shutdown()
    loop.settle()

    def refuse(configuration: Configuration) -> None:
        raise ConfigError("bind error")

    monkeypatch.setattr(loop.server, "start", refuse)
    with pytest.raises(ConfigError, match="bind error"):
        app.reconfigure(new)
    assert app.lifecycle.state is ServerState.STOPPED
    monkeypatch.undo()
    app.reconfigure(new)
    assert ask(loop) == b"new"


def test_what_nobody_runs_is_down_at_once() -> None:
    app = Application(old)
    assert app.force_decrease_threads().settled
    assert app.shutdown().settled
    with pytest.raises(RuntimeError, match="Server is not launched"):
        app.shutdown()


# Threads -----------------------------------------------------------------------------------------------


def test_threads_that_are_not_gone_yet() -> None:
    app = Application(old, threads=4)
    loop = Loopback(app)
    loop.server.keeps_threads = True
    app.reconfigure(old, threads=5)
    app.reconfigure(old, threads=2)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="Unable to reconfigure until threads will shut down"):
            app.reconfigure(new)
    assert ask(loop) == b"old"
    loop.server.end_threads()
    app.reconfigure(new)
    assert (app.settings.threads, app.lifecycle.state) == (1, ServerState.REDUCING)
    assert app.force_decrease_threads().settled
    app.reconfigure(new, threads=3)
    assert app.settings.threads == 3
    assert app.lifecycle.state is ServerState.RUNNING


def test_an_application_can_be_served_again() -> None:
    app = Application(old)
    Loopback(app)
    app.lifecycle.do(ServerVerb.ENDED)
    loop = Loopback(app)
    assert app.lifecycle.state is ServerState.RUNNING
    assert ask(loop) == b"old"


def test_directories_come_and_go(tmp_path: Path) -> None:
    app = Application(sites=[{"path": "/a", "handler": old}])
    app.reconfigure(sites=[{"path": "/files", "handler": tmp_path}])
    assert app.sites == (Site("/files", str(tmp_path)),)
    assert app.directories == [str(tmp_path)]
    app.reconfigure()
    assert app.directories == []


def test_what_was_overridden_is_put_in_place_of_once_more() -> None:
    application = Application(old, max_body_len=5)
    application.override(max_body_len=10)
    assert application.override_again(max_body_len=10) is False
    assert application.override_again(max_body_len=20, shutdown_timeout=3) is True
    assert (application.settings.max_body_len, application.settings.shutdown_timeout) == (20, 3)
    with pytest.raises(ConfigError):
        application.override_again(max_body_len="x")
    assert application.settings.max_body_len == 20
    # What isn't named any more is as the application itself has it.
    assert application.override_again() is True
    assert application.settings.max_body_len == 5


@pytest.mark.parametrize(
    ("lifespan", "told"),
    [
        (endless, "must take no arguments"),
        (an_async_generator, "asynccontextmanager"),
        (lambda one: None, "no arguments"),
    ],
)
def test_what_is_no_lifespan(lifespan: object, told: str) -> None:
    with pytest.raises((TypeError, ConfigError), match=told):
        Application(old, lifespan=lifespan)


@contextlib.asynccontextmanager
async def a_lifespan() -> AsyncIterator[str]:
    yield "state"


def test_a_lifespan_is_kept_for_who_serves_it() -> None:
    application = Application(old, lifespan=a_lifespan)
    assert application.lifespan is a_lifespan
    assert application.state is None


def test_it_may_be_told_where_to_listen_by_who_serves_it() -> None:
    application = Application(old, listen="127.0.0.1:80")
    (elsewhere,) = Application(old, listen="127.0.0.1:81").listen
    application.override_listen([elsewhere])
    Loopback(application)
    application.lifecycle.do(ServerVerb.ENDED)
    application.reconfigure(new, listen="127.0.0.1:82")
    assert list(application.listen) == [elsewhere]


def test_what_applications_of_other_languages_have_and_those_in_python_have_not() -> None:
    application = Application(old)
    assert application.failure is None
    stats = application.feed_stats()
    assert (stats.published, stats.followers) == (0, 0)


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


async def another_asgi(scope: Any, receive: Any, send: Any) -> None: ...


def test_an_asgi_application_whose_lifespan_has_not_begun_comes_too_late() -> None:
    application = Application(asgi)
    application.asgi_states[id(asgi)] = {}
    Loopback(application)
    with pytest.raises(ConfigError, match="can't come in while the server runs"):
        application.reconfigure(another_asgi)
    assert [one.app for one in application.asgi_handlers] == [asgi]
    application.reconfigure(asgi, access_log=True)
    without = Application(asgi, lifespan="off")
    Loopback(without)
    without.reconfigure(another_asgi, lifespan="off")
    assert [one.app for one in without.asgi_handlers] == [another_asgi]


class Basic(Application):
    """An application in a language of its own."""

    def __init__(self, **overrides: object) -> None:
        listen = ListenAddress("127.0.0.1", 80)
        self._begin(Language(name="Basic", listen=(listen,), is_function=callable, runtime="lua54"), {})
        with self.lifecycle.configuring():
            self._configure({"handler": old})
        self.override(**overrides)


def test_settings_of_asgi_applications_are_for_those_in_python() -> None:
    assert Basic(max_body_len=5).settings.max_body_len == 5
    with pytest.raises(ConfigError, match="root_path is for applications in Python"):
        Basic(root_path="/x")
    with pytest.raises(ConfigError, match="lua is "):
        Application(old).override(lua="lua54")
