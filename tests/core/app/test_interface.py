"""What a function is, told by its form or by `interface`."""

from typing import Any

import pytest

from httpng_core import Application, AsgiHandler
from httpng_core.app import AsyncHandler, FunctionHandler, Handler, as_handler


async def asgi(scope: Any, receive: Any, send: Any) -> None: ...


async def native(req: Any, io: Any) -> None: ...


async def native_with_more(req: Any, io: Any, more: Any = None) -> None: ...


def wsgi(environ: Any, start_response: Any) -> Any: ...


def plain(req: Any) -> Any: ...


class WithStart:
    """Frameworks have such: it doesn't make it a handler of ours."""

    async def start(self) -> None: ...

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (asgi, AsgiHandler),
        (WithStart(), AsgiHandler),
        (lambda scope, receive, send: None, AsgiHandler),
        (wsgi, AsgiHandler),
        (native, AsyncHandler),
        (native_with_more, AsyncHandler),
        (plain, FunctionHandler),
    ],
)
def test_by_its_form(function: object, kind: type) -> None:
    made = as_handler(function)
    assert type(made) is kind
    assert not isinstance(made, AsgiHandler) or made.is_wsgi == (function is wsgi)


@pytest.mark.parametrize("function", [asgi, native, plain, lambda *args: None])
def test_by_what_is_said(function: object) -> None:
    for interface, is_wsgi in (("asgi", False), ("wsgi", True)):
        (made,) = Application(function, interface=interface).asgi_handlers
        assert made.is_wsgi is is_wsgi


def test_native_is_never_asgi() -> None:
    with pytest.raises(TypeError, match=r"must take \(req, io\)"):
        as_handler(asgi, "native")


class Asgi2:
    def __init__(self, scope: Any) -> None: ...

    async def __call__(self, receive: Any, send: Any) -> None: ...


@pytest.mark.parametrize("app", [Asgi2, lambda scope: None])
def test_asgi_2_gets_a_hint(app: object) -> None:
    with pytest.raises(TypeError, match="guarantee_single_callable"):
        Application(app)


def test_the_interface_can_be_changed_later() -> None:
    application = Application(lambda *args: None)
    assert application.asgi_handlers == []
    assert len(application.with_settings(interface="asgi").asgi_handlers) == 1
    assert application.asgi_handlers == []


def test_a_handler_stays_what_it_is() -> None:
    handler: Handler = AsgiHandler(asgi)
    assert as_handler(handler) is handler
