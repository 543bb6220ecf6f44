"""The chunks of a body whose length isn't told in advance (RFC 9112, 7.1)."""

CHUNK_END = b"\r\n"


def chunk(body: bytes) -> bytes:
    """Return a chunk of a body, one byte at least."""
    return b"%x\r\n%b\r\n" % (len(body), body)
