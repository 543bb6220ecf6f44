"""Chromium without a window, by its DevTools protocol over a pipe: JSON, each message ended by a NUL."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--remote-debugging-pipe",
)


class Page:
    """A page that the browser shows.

    Attributes:
        errors: the exceptions and error messages of its scripts so far.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.errors: list[str] = []
        self._commands, self._answers = os.fdopen(commands, "wb"), os.fdopen(answers, "rb")
        self._received = b""
        self._number = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Runtime.enable")
        self.call("Log.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """What a method of the protocol answers."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._receive()).get("id") != self._number:
            self._note(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, or of the promise that it is."""
        options = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def close(self) -> None:
        """Ends the browser."""
        self._session = None
        self.call("Browser.close")
        self._commands.close()
        self._answers.close()

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._received:
            data = os.read(self._answers.fileno(), 65536)
            assert data, "the browser has ended"
            self._received += data
        message, _, self._received = self._received.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(params["entry"]["text"])


@contextmanager
def browsing(chromium: str, profile: Path, bound: float, *options: str) -> Iterator[Page]:
    """A page of a browser that has just been started; killed after `bound` seconds."""
    commands_in, commands = os.pipe()
    answers, answers_out = os.pipe()
    # The browser reads from 3 and writes to 4. sh wouldn't do: its redirections know one digit only.
    script = f'exec timeout --kill-after 1 {bound:.0f} "$@" 3<&{commands_in} 4>&{answers_out}'
    command = ["bash", "-c", script, "bash", chromium, *OPTIONS, *options, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        command, pass_fds=(commands_in, answers_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(commands_in)
        os.close(answers_out)
        try:
            page = Page(commands, answers)
            yield page
            page.close()
        finally:
            process.terminate()
