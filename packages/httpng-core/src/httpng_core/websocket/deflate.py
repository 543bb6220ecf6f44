"""permessage-deflate (RFC 7692): what is agreed on, and how messages are inflated and deflated.

Inflating is bounded before it happens. Each message that is sent is compressed by itself
(`server_no_context_takeover`): so one that is dropped leaves no trace, and the next can still be read.
"""

import re
import zlib
from typing import Final

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

WORTH: Final = 128
"""Shorter messages aren't compressed: little would be won."""
_END: Final = b"\x00\x00\xff\xff"
_BITS: Final = re.compile(r"8|9|1[0-5]")
_PARAMETERS: Final = {
    "server_no_context_takeover": (None,),
    "client_no_context_takeover": (None,),
    "server_max_window_bits": (_BITS,),
    "client_max_window_bits": (_BITS, None),
}


class Deflate(PerMessageDeflate):
    """What was agreed on with one client."""

    def __init__(self, max_size: int) -> None:
        """Inflate no message beyond `max_size` bytes: more is never made, whatever it is made of."""
        super().__init__(server_no_context_takeover=True)
        self._max_size = max_size
        self._size = 0

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        """Note what comes: a frame in the middle of a message goes on as that began (RFC 7692, 6)."""
        first = opcode is Opcode.TEXT or opcode is Opcode.BINARY
        if rsv.rsv1 and not first:
            return CloseReason.PROTOCOL_ERROR
        self._inbound_is_compressible = first or opcode is Opcode.CONTINUATION
        if first:
            self._inbound_compressed = rsv.rsv1
            self._size = 0
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        """Return what a piece inflates to."""
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return data
        return self._inflate(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        """Return what the end of a message adds."""
        if not fin or not self._inbound_is_compressible or not self._inbound_compressed:
            return None
        rest = self._inflate(_END)
        inflater = self._decompressor
        if self.client_no_context_takeover or (inflater is not None and inflater.eof):
            self._decompressor = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        inflater = self._decompressor
        if inflater is None:
            inflater = self._decompressor = zlib.decompressobj(-self.client_max_window_bits)
        room = self._max_size - self._size
        try:
            made = inflater.decompress(data, room + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if len(made) > room:
            return CloseReason.MESSAGE_TOO_BIG
        self._size += len(made)
        return made


def deflated(data: bytes, bits: int) -> bytes | None:
    """Return a message compressed by itself, in a window of `bits`; `None` if it gets no shorter."""
    deflater = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -bits)
    made = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return made[:-4] if len(made) - 4 < len(data) else None


def agree(offers: list[str], max_size: int) -> tuple[Deflate, str] | None:
    """Take the first offer of permessage-deflate that can be taken; return it with the answer."""
    for offer in offers:
        normal = _normal(offer)
        if normal is None:
            continue
        extension = Deflate(max_size)
        answer = extension.accept(normal)
        if isinstance(answer, str):
            return extension, f"{extension.name}; {answer}"
    return None


def _normal(offer: str) -> str | None:
    """Return an offer in its normal form; `None` if it is another's, or not sound (RFC 7692, 7)."""
    name, *parameters = [part.strip() for part in offer.split(";")]
    if name.lower() != PerMessageDeflate.name:
        return None
    normal, seen = [PerMessageDeflate.name], set()
    for parameter in parameters:
        key, equals, value = (part.strip() for part in parameter.partition("="))
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        known = _PARAMETERS.get(key.lower())
        if known is None or key.lower() in seen:
            return None
        if not any(rule.fullmatch(value) if rule and equals else not rule and not equals for rule in known):
            return None
        seen.add(key.lower())
        normal.append(f"{key.lower()}={value}" if equals else key.lower())
    return "; ".join(normal)
