"""Responses of handlers in another language, that come as plain values."""

from functools import lru_cache
from typing import Any, Final

from httpng_core.app.handlers import end_exchange
from httpng_core.app.runner import Runner
from httpng_core.http.response import Response, ResponseHead, response_head
from httpng_core.sending.exchange import Exchange

FlatHeaders = tuple[tuple[str, bytes], ...]

_MOST_HEADS: Final = 256
_SHORT: Final = 512


def split_pairs(lines: bytes | None) -> FlatHeaders:
    """Return headers that come as one text: name and value, a line each; `None`: there are none."""
    if lines is None:
        return ()
    return _kept_pairs(lines) if len(lines) < _SHORT else _split(lines)


def _split(lines: bytes) -> FlatHeaders:
    # Latin-1 gives each byte back, and heads whose names are text are kept.
    flat = lines.split(b"\n")
    names = [name.decode("latin-1") for name in flat[::2]]
    return tuple(zip(names, flat[1::2], strict=True))


# Most handlers send the same few each time.
_kept_pairs = lru_cache(maxsize=256)(_split)
_heads: dict[tuple[Any, bytes | None], ResponseHead] = {}


def answer_plain(
    exchange: Exchange, runner: Runner, status: Any, body: bytes | None, lines: bytes | None, is_start: bool
) -> None:
    """End an exchange with what its handler returned.

    What can't be sent is logged, and answered with 500 or cut short.

    Args:
        exchange: the exchange.
        runner: what runs its handler.
        status: a whole number; not looked at without a body.
        body: the body; `None`: the handler returned no response.
        lines: the headers, as `split_pairs` takes them.
        is_start: whether this is within the handler's `start`: whoever called that looks at the connection
            afterwards, and may want to collect ordinary responses.
    """
    now = runner.clock()
    if body is None:
        end_exchange(exchange, None, now, split_pairs(lines))
        return
    try:
        head = _heads.get((status, lines)) or _new_head(int(status), lines)
        if is_start:
            exchange.answer_with(head, body, now, exchange.host.direct_send, runner.answers)
        else:
            exchange.answer_with(head, body, now)
    except Exception:
        # Nothing of it was sent: again by `end_exchange`, which logs what is wrong.
        end_exchange(exchange, Response(status=int(status), headers=split_pairs(lines), body=body), now)


def _new_head(status: int, lines: bytes | None) -> ResponseHead:
    head = response_head(status, split_pairs(lines))
    if lines is None or len(lines) < _SHORT:
        if len(_heads) >= _MOST_HEADS:
            _heads.clear()
        _heads[status, lines] = head
    return head
