"""The chat over WebSockets answers what its first lines say, on both loops."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.driver.harness import BOUND, Client
from tests.driver.ws_client import WsClient
from tests.interop.chromium import browsing
from tests.interop.test_age_page import wait_until
from tests.interop.test_examples import EXAMPLES, running

from httpng_core import ListenAddress


@pytest.mark.parametrize("backend", ["httpng_asyncio", "httpng_trio"])
def test_everybody_gets_what_is_said(backend: str) -> None:
    arguments = ("-m", backend, str(EXAMPLES / "chat_ws.py") + ":app", "--listen", "127.0.0.1:0")
    with running(*arguments) as (process, port):
        address = ListenAddress("127.0.0.1", port)
        with Client(address) as one, Client(address) as other, Client(address) as reader:
            page = reader.get("/")
            assert page.headers is not None
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert b"new WebSocket" in page.body
            ada, bob = WsClient(one), WsClient(other)
            ada.shake("/ws?as=Ada%20L")
            bob.shake("/ws")
            for client in (ada, bob):
                # Whoever hears itself listens.
                client.say("here")
                while json.loads(client.read() or "")["text"] != "here":
                    pass
            ada.say("hello <all> ä")
            said = json.dumps({"from": "Ada L", "text": "hello <all> ä"})
            for client in (ada, bob):
                while (read := client.read()) != said:
                    assert read is not None
            bob.say(b"\x00")
            while bob.read() is not None:
                pass
            assert bob.closed == (1003, "only text is understood")
            bob.close(1003)
            process.send_signal(signal.SIGTERM)
            while ada.read() is not None:
                pass
            assert ada.closed == (1012, "")
            ada.close(1012)
        assert process.wait(BOUND) == 0


def test_its_page(program: Callable[[str], str], tmp_path: Path) -> None:
    chromium = program("chromium")
    arguments = ("-m", "httpng_asyncio", str(EXAMPLES / "chat_ws.py") + ":app", "--listen", "127.0.0.1:0")
    with running(*arguments) as (_, port), browsing(chromium, tmp_path, BOUND) as page:
        page.call("Page.navigate", url=f"http://127.0.0.1:{port}/?as=ada")
        wait_until(page, "typeof socket == 'object' && socket.readyState == 1")
        page.evaluate("form.text.value = '<b>hello</b>', form.requestSubmit()")
        wait_until(page, "document.querySelector('li')?.textContent == 'ada: <b>hello</b>'")
        # The browser looks for an icon of every page.
        assert [error for error in page.errors if "404" not in error] == []
