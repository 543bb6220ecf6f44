"""What sound clients of HTTP/2 send: a file each in `corpus_http2`, which the fuzz changes.

`python -m tests.properties.http2_corpus` writes them anew, by h2 in the role of the client.
"""

from collections.abc import Callable
from pathlib import Path
from struct import pack

from h2.settings import SettingCodes

from httpng_core.testing import Http2Client

CORPUS = Path(__file__).with_name("corpus_http2")
BROWSER = (
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
    ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br"),
    ("cookie", "session=0123456789abcdef"),
    ("priority", "u=0, i"),
)


def frame(kind: int, flags: int = 0, stream_id: int = 0, payload: bytes = b"") -> bytes:
    return pack(">L", len(payload))[1:] + bytes([kind, flags]) + pack(">L", stream_id) + payload


def page_with_its_parts(client: Http2Client) -> bytes:
    for path in ("/", "/style.css", "/script.js", "/picture.png", "/"):
        client.request(path, headers=BROWSER)
    client.h2.reset_stream(7, 8)
    return client.take()


def uploads(client: Http2Client) -> bytes:
    wire = b""
    for size in (1, 1000, 16384, 40_000):
        stream_id = client.request("/upload", "POST", (("content-length", str(size)),), body=None)
        for start in range(0, size, 16384):
            client.h2.send_data(stream_id, b"x" * min(16384, size - start))
        client.h2.end_stream(stream_id)
        wire += client.take()
    return wire


def padded_upload_with_trailers(client: Http2Client) -> bytes:
    stream_id = client.request("/upload", "POST", (("expect", "100-continue"),), body=None)
    for size in (0, 1, 300):
        client.h2.send_data(stream_id, b"y" * size, pad_length=size % 256)
    client.h2.send_headers(stream_id, [("x-checksum", "1")], end_stream=True)
    return client.take()


def heads_in_pieces(client: Http2Client) -> bytes:
    client.request("/long", headers=(("x-long", "z" * 40_000), *BROWSER))
    client.request("/many", headers=tuple((f"x-{number}", str(number)) for number in range(100)))
    return client.take()


def windows_and_settings(client: Http2Client) -> bytes:
    wire = b""
    for window in (0, 10, 1 << 20, 65535):
        client.request("/large")
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
        client.give(1000)
        client.give(5, 1)
        wire += client.take()
    client.h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 1 << 20, SettingCodes.HEADER_TABLE_SIZE: 0})
    client.request("/large")
    return wire + client.take()


def chatter(client: Http2Client) -> bytes:
    client.request("/")
    wire = client.take()
    wire += frame(6, 0, 0, b"12345678") + frame(0x10, 0, 0, pack(">L", 3) + b"u=1, i")
    wire += frame(2, 0, 3, pack(">LB", 1, 5)) + frame(0xFA, 9, 3, b"grease") + frame(4, 1)
    client.request("/late", "HEAD")
    return wire + client.take() + frame(7, 0, 0, pack(">LL", 0, 0) + b"bye")


def other_methods(client: Http2Client) -> bytes:
    for method, path in (("HEAD", "/large"), ("OPTIONS", "*"), ("DELETE", "/x?y=1"), ("QUERY", "/")):
        client.request(path, method)
    return client.take()


CLIENTS: dict[str, Callable[[Http2Client], bytes]] = {
    made.__name__: made
    for made in (
        *(page_with_its_parts, uploads, padded_upload_with_trailers, heads_in_pieces),
        *(windows_and_settings, chatter, other_methods),
    )
}


def made(name: str) -> bytes:
    """What a client sends, from the preface on."""
    client = Http2Client()
    return client.take() + CLIENTS[name](client)


def corpus() -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.bin"))}


if __name__ == "__main__":
    for name in CLIENTS:
        (CORPUS / f"{name}.bin").write_bytes(made(name))
