"""Responses as a client decodes them, for tests: by h11, which knows nothing of our framing."""

import h11


class ReceivedResponse:
    """A response as the client decoded it; `complete` tells whether its end has come.

    Its `fields` are the headers as they came, repeated ones among them; `headers` has the last of each.
    """

    def __init__(self, head: h11.Response) -> None:
        self.status = head.status_code
        self.fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
        self.headers = dict(self.fields)
        self.body = b""
        self.complete = False


def decode(wire: bytes, methods: tuple[str, ...], *, closed: bool = True) -> list[ReceivedResponse]:
    """Decode wire bytes as a client would, as far as they go.

    Raises:
        h11.RemoteProtocolError: they aren't HTTP/1.1, or (with `closed`) end in the middle of a response.
    """
    responses: list[ReceivedResponse] = []
    rest = wire
    for method in methods:
        if not rest:
            break
        parser = h11.Connection(h11.CLIENT)
        parser.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        parser.receive_data(rest)
        response = _decode_one(parser, responses)
        if response is None or not response.complete:
            if closed:
                parser.receive_data(b"")
                _decode_one(parser, responses, response)
            break
        rest = parser.trailing_data[0]
    return responses


def _decode_one(
    parser: h11.Connection, responses: list[ReceivedResponse], response: ReceivedResponse | None = None
) -> ReceivedResponse | None:
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Response):
            response = ReceivedResponse(event)
            responses.append(response)
        elif isinstance(event, h11.Data) and response is not None:
            response.body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage) and response is not None:
            response.complete = True
            return response
        elif not isinstance(event, h11.InformationalResponse):
            return response
