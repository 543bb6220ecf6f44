"""Requests by chance: mostly valid, with an oddity here and there, and now and then a byte changed."""

from random import Random

TOKENS = [b"a", b"X-Y", b"!#$%&'*+-.^_`|~0"]
METHODS = [b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE"]
ODD_METHODS = [b"FOO", b"get", b"CONNECT", b"G(T", b"", b"M-SEARCH", b"SOURCE"]
TARGETS = [b"/", b"/a?b=c", b"/%20/..", b"//a", b"http://h/p?q", b"https://h:1", b"http://h?q", b"/a:b@c"]
ODD_TARGETS = [
    b"*",
    b"",
    b"x",
    b"h:1",
    b"/#f",
    b"/\xe9",
    b"/\x7f",
    b"/a b",
    b"ftp://h/",
    b"http://u@h/",
    b"/\t",
]
VERSIONS = [b"HTTP/1.1"] * 9 + [b"HTTP/1.0"]
ODD_VERSIONS = [
    b"HTTP/1.2",
    b"HTTP/2.0",
    b"HTTP/0.9",
    b"http/1.1",
    b"HTTP/1.10",
    b"HTTP/1",
    b"",
    b"HTTP/1.1 ",
]
HOSTS = [b"h", b"h:80", b"[::1]", b"[::1]:1", b"", b"a_b.c"]
ODD_HOSTS = [b"u@h", b"h/p", b"a,b", b"h:x", b"a b", b"[x]", b"\xe9"]
FIELDS = [
    b"A: b",
    b"A:b",
    b"a:",
    b"A: \tb c\t ",
    b"Obs: \xe9",
    b"Connection: keep-alive",
    b"Connection: close",
    b"Connection: x, close",
    b"Expect: 100-continue",
    b"Cookie: a=b; c=d",
]
ODD_FIELDS = [
    b"A : b",
    b"A\t: b",
    b" A: b",
    b"\tA: b",
    b": b",
    b"A",
    b"A(: b",
    b"\xe9: b",
    b"A: b\r\n folded",
    b"A: \0",
    b"A: \x01",
    b"A: \x7f",
    b"A: b\rc",
    b"A: b\nB: c",
    b"A: b\n\nB: c",
    b"Connection: upgrade\r\nUpgrade: x",
    b"Upgrade: x",
    b"Content-Length : 1",
    b"Transfer-Encoding : chunked",
    b"Content-Length: 1",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: identity",
    b"Host: z",
    b"Connection: \xe9",
]
LENGTHS = [b"%d", b"%d", b"%d", b"0%d", b"%d\t"]
ODD_LENGTHS = [b"+%d", b"-%d", b"0x%x", b"%d,%d", b"%d, %d", b"%d %d", b"%d;", b"", b"99999999999999999999%d"]
CODINGS = [b"chunked", b"Chunked", b" chunked "]
ODD_CODINGS = [b"gzip, chunked", b"chunked, chunked", b"chunked;a=b", b"xchunked", b"chunked,", b",chunked"]
ODD_CODINGS += [b"chunked, identity", b"\x0bchunked", b'"chunked"', b"chunked\r\nTransfer-Encoding: chunked"]
EXTENSIONS = [b""] * 6 + [b";a", b";a=b", b' ; a = "b;\\" c"', b";a;b=c"]
ODD_EXTENSIONS = [
    b" ",
    b"\t",
    b";",
    b";=",
    b";a=",
    b';a="',
    b";\xe9",
    b";a\rb",
    b";a\nb",
    b";a\0",
    b",a",
    b";a b",
]
ODD_SIZES = [b"0x%x", b"+%x", b"-%x", b"%x_", b" %x", b"0000000000000000000000%x", b"", b"g%x"]
ENDS = [b"\r\n"]
ODD_ENDS = [b"\n", b"\r", b"", b"\r\r\n", b"\n\r\n", b" \r\n"]
TRAILERS = [b""] * 4 + [b"t: u\r\n", b"Content-Length: 5\r\n"]
ODD_TRAILERS = [
    b"t : u\r\n",
    b"t\r\n",
    b" t: u\r\n",
    b"t: u\n",
    b"t: \0\r\n",
    b"\n",
    b": u\r\n",
    b"t: u\rv\r\n",
]


class Requests:
    """Writes requests; `odd` is the chance that a choice is an odd one."""

    def __init__(self, seed: int) -> None:
        self._chance = Random(seed)
        self._odd = self._chance.choice([0.0, 0.02, 0.1])

    def wire(self) -> bytes:
        """Return one to three requests, one behind the other."""
        data = b"".join(self._request() for _ in range(self._chance.choice([1, 1, 1, 2, 3])))
        for _ in range(self._chance.choice([0, 0, 0, 1, 2])):
            data = self._changed(data)
        return data

    def _pick(self, usual: list[bytes], odd: list[bytes]) -> bytes:
        return self._chance.choice(odd if self._chance.random() < self._odd else usual)

    def _space(self) -> bytes:
        return self._pick([b" "], [b"  ", b"\t", b""])

    def _line_end(self) -> bytes:
        return self._pick(ENDS, ODD_ENDS)

    def _request(self) -> bytes:
        chance = self._chance
        start = self._pick([b""] * 9 + [b"\r\n"], [b"\r\n" * 3, b"\n", b"\r", b" "])
        line = self._pick(METHODS, ODD_METHODS) + self._space() + self._pick(TARGETS, ODD_TARGETS)
        line += self._space() + self._pick(VERSIONS, ODD_VERSIONS)
        hosts = int(self._pick([b"1"], [b"0", b"2"]))
        fields = [b"Host: " + self._pick(HOSTS, ODD_HOSTS) for _ in range(hosts)]
        fields += [self._pick(FIELDS, ODD_FIELDS) for _ in range(chance.randrange(3))]
        framing, body = self._body()
        fields += framing
        chance.shuffle(fields)
        lines = b"".join(each + self._line_end() for each in [line, *fields])
        return start + lines + self._line_end() + body

    def _body(self) -> tuple[list[bytes], bytes]:
        chance = self._chance
        kind = chance.randrange(4)
        if kind < 2:
            return [], b""
        content = chance.choice(
            [b"", b"x", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: s\r\n\r\n", bytes(range(256))]
        )
        if kind == 2:
            form = self._pick(LENGTHS, ODD_LENGTHS)
            size = len(content)
            length = form % ((size,) * (form.count(b"%")))
            again = (
                [b"Content-Length: %d" % (size + chance.randrange(2))] if chance.random() < self._odd else []
            )
            return [b"Content-Length: " + length, *again], content
        return [b"Transfer-Encoding: " + self._pick(CODINGS, ODD_CODINGS)], self._chunked(content)

    def _chunked(self, content: bytes) -> bytes:
        wire = b""
        while content:
            size = self._chance.randrange(1, len(content) + 1)
            wire += self._size(size) + content[:size] + self._line_end()
            content = content[size:]
        return wire + self._size(0) + self._pick(TRAILERS, ODD_TRAILERS) + self._line_end()

    def _size(self, size: int) -> bytes:
        form = self._pick([b"%x", b"%X", b"0%x"], ODD_SIZES)
        digits = form % size if b"%" in form else form
        return digits + self._pick(EXTENSIONS, ODD_EXTENSIONS) + self._line_end()

    def _changed(self, data: bytes) -> bytes:
        chance = self._chance
        at = chance.randrange(len(data) + 1)
        until = min(len(data), at + chance.choice([0, 1, 1, 2, 20]))
        piece = chance.choice(
            [b"", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"\xff", b"0", b",", data[at:until] * 2]
        )
        return data[:at] + piece + data[until:]
