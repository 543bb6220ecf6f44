"""An operator: asks a server at its admin listener. It blocks."""

import http.client
import json
import socket
from dataclasses import dataclass
from typing import Any

from tests.driver.http1_client import BOUND

from httpng_core import ListenAddress


@dataclass
class Answer:
    """What came: the status, the headers by their lower-case names, the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        return json.loads(self.body)


def ask(
    place: ListenAddress,
    target: str = "/status",
    said: object = None,
    *,
    method: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Asks with GET, or says `said` as JSON with POST."""
    connection = http.client.HTTPConnection("localhost", timeout=BOUND)
    if place.path is None:
        connection.sock = socket.create_connection((place.host, place.port), BOUND)
    else:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(BOUND)
        connection.sock.connect(place.path)
    body = None if said is None else json.dumps(said)
    fields = {} if said is None else {"content-type": "application/json"}
    try:
        connection.request(
            method or ("GET" if said is None else "POST"), target, body, fields | (headers or {})
        )
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()
