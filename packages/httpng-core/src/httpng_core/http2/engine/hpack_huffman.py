"""The Huffman code of HPACK (RFC 7541, 5.2 and appendix B), decoded by bytes.

The code is canonical: the lengths of its words, in bits, say what they are. A state of the decoder is a place
in the tree of words, where a byte of input may end. Each state has 256 steps, made when they are first
needed: what one more byte gives, and the state after it. So the cost is linear, whatever comes.

Paths have steps of their own, which give text and fail at what no path can have: one pass decodes and checks.
"""

import re
from typing import Final

from httpng_core.http2.engine.errors import COMPRESSION_ERROR, FatalError

# Bits of the words of 0 .. 255, and of the end of string, which must not occur.
_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c"
    "060a0a0c0d06080b0a0a080b080606060505050606060606060607080f060c0a"
    "0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c"
    "1416141416161617161717171717181718181617181717171715161716171718"
    "1615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b"
    "14181415161515171616191918181a171a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
    "1e"
)
_END_OF_STRING: Final = 256
OF_A_PATH: Final = rb"[\x21\x22\x24-\x7e]*"
"""What a path may have behind its first slash, as a pattern."""
_PLAIN: Final = re.compile(OF_A_PATH)
_FAILED: Final = 256
"""The state after an end of string: there are 256 others, one for each inner node."""


class _State:
    """A place in the tree.

    Attributes:
        steps: for each byte of input what it gives, and the state after it; empty until it is first needed.
        path_steps: likewise within a path.
        accepts: whether a string may end here.
    """

    __slots__ = ("accepts", "node", "path_steps", "steps")

    def __init__(self, node: int) -> None:
        self.node = node
        self.steps: list[tuple[bytes, _State]] = []
        self.path_steps: list[tuple[str, _State]] = []
        self.accepts = False


def _make_tree() -> list[list[int]]:
    """Return the inner nodes, the root first: for each bit another node, or `~symbol`."""
    tree: list[list[int]] = [[0, 0]]
    word = length = 0
    for symbol in sorted(range(257), key=_LENGTHS.__getitem__):
        word <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        node = 0
        for place in range(length - 1, 0, -1):
            bit = word >> place & 1
            if tree[node][bit] == 0:
                tree[node][bit] = len(tree)
                tree.append([0, 0])
            node = tree[node][bit]
        tree[node][word & 1] = ~symbol
        word += 1
    return tree


_TREE: Final = _make_tree()
_STATES: Final = [_State(node) for node in range(_FAILED + 1)]
_START: Final = _STATES[0]


def _accept_padding() -> None:
    """Have a string end where at most 7 bits of padding, all of them 1, lead to."""
    node = 0
    for _ in range(8):
        _STATES[node].accepts = True
        node = _TREE[node][1]


_accept_padding()


def _make_steps(state: _State) -> list[tuple[bytes, _State]]:
    state.steps = [_step(state.node, byte) for byte in range(256)]
    return state.steps


def _make_path_steps(state: _State) -> list[tuple[str, _State]]:
    for piece, after in state.steps or _make_steps(state):
        is_plain = _PLAIN.fullmatch(piece) is not None
        step = (piece.decode("ascii"), after) if is_plain else ("", _STATES[_FAILED])
        state.path_steps.append(step)
    return state.path_steps


def _step(node: int, byte: int) -> tuple[bytes, _State]:
    piece = b""
    if node == _FAILED:
        return piece, _STATES[_FAILED]
    for place in range(7, -1, -1):
        node = _TREE[node][byte >> place & 1]
        if node == ~_END_OF_STRING:
            return b"", _STATES[_FAILED]
        if node < 0:
            piece += bytes([~node])
            node = 0
    return piece, _STATES[node]


def decode_huffman(data: bytes) -> bytes:
    """Return what `data` says.

    Raises:
        FatalError: It has the end of string, or isn't padded as it must be.
    """
    pieces: list[bytes] = []
    state = _START
    for byte in data:
        piece, state = (state.steps or _make_steps(state))[byte]
        pieces.append(piece)
    if not state.accepts:
        raise FatalError(COMPRESSION_ERROR, "a string is no Huffman code")
    return b"".join(pieces)


def decode_path(data: bytes) -> str | None:
    """Return the path that `data` says, if any request can have it; `None`: it is another one, or wrong."""
    pieces: list[str] = []
    state = _START
    for byte in data:
        piece, state = (state.path_steps or _make_path_steps(state))[byte]
        pieces.append(piece)
    path = "".join(pieces)
    return path if state.accepts and path.startswith("/") else None
