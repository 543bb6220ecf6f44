"""The access log: a line for each request, those that were refused included, as text or as JSON."""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from httpng_core.app.limited_log import LimitedLog, shortened
from httpng_core.http.request import Request
from httpng_core.sending.exchange import Exchange
from httpng_core.wire.events import ExchangeEnded, RequestRefused

_log = logging.getLogger("httpng.access")

Entry = dict[str, Any]
"""What a line says, by its keys in JSON. The record has it as its attribute `access`."""

_UNKNOWN: Final = "-"
_QUOTED: Final = ('"', "\\")


class AccessLog:
    """Writes the lines; only where a request's settings ask for that is it called."""

    __slots__ = ("_refused", "_wall_clock")

    def __init__(self, refused: LimitedLog, wall_clock: Callable[[], float] | None) -> None:
        """Write the lines of refused requests by `refused`; `wall_clock` stamps lines of JSON."""
        self._refused = refused
        self._wall_clock = wall_clock

    def ended(self, event: ExchangeEnded) -> None:
        """Write the line of an exchange that is over."""
        if not _log.isEnabledFor(logging.INFO):
            return
        entry = _entry_of(event)
        line = self._line(entry, as_json=event.exchange.settings.access_log_format == "json")
        _log.info("%s", line, extra={"access": entry})

    def refused(self, event: RequestRefused, *, as_json: bool) -> None:
        """Write the line of a request that no handler got; a flood of them is a few lines and a count."""
        entry = {
            "client": event.peer.host or _UNKNOWN,
            "method": event.method or _UNKNOWN,
            "target": event.target or _UNKNOWN,
            "version": event.version or _UNKNOWN,
            "status": event.status,
            "end": event.end,
            "reason": event.reason,
        }
        line = self._line(entry, as_json=as_json)
        self._refused.write(logging.INFO, f"{event.end}: ", "%s", line, extra={"access": entry})

    def _line(self, entry: Entry, *, as_json: bool) -> str:
        if not as_json:
            return _text_of(entry)
        stamp = {} if self._wall_clock is None else {"time": _stamp(self._wall_clock())}
        return json.dumps({**stamp, **entry}, separators=(",", ":"))


def version_of(request: Request) -> str:
    """Return the version of HTTP as logs and metrics say it: "1.1", "2"."""
    major, minor = request.version_major, request.version_minor
    return f"{major}.{minor}" if major < 2 else str(major)


def confirmed_text(confirmed: int | None) -> str:
    """Return what a line says of what the client's program has confirmed: nothing where nobody asked it."""
    return "" if confirmed is None else f" confirmed={confirmed}"


def _entry_of(event: ExchangeEnded) -> Entry:
    exchange = event.exchange
    request, head = exchange.request, exchange.head
    current, sent, acked, confirmed = exchange.current, exchange.sent, exchange.acked, exchange.confirmed
    if exchange.substitute and event.outcome == "complete" and request.method != "HEAD":
        # The answer in place of the handler's isn't counted in its positions, yet it was sent.
        current = sent = len(exchange.substitute)
        acked = confirmed = None
    first = exchange.first_sent
    return {
        "client": request.peer.host or _UNKNOWN,
        "forwarded_for": _forwarded_for(exchange),
        "method": shortened(request.method),
        "target": shortened(request.path),
        "version": version_of(request),
        "status": 0 if head is None else head.status,
        "route": request.route or _UNKNOWN,
        "first_byte": round(first - exchange.started, 6) if first else None,
        "seconds": round(event.seconds, 6),
        "current": current,
        "sent": sent,
        "acked": acked,
        "confirmed": confirmed,
        "lag": round(exchange.largest_lag, 3),
        "stalled": {name: round(value, 3) for name, value in (exchange.held or {}).items()},
        "outcome": event.outcome,
        "end": event.end,
    }


def _forwarded_for(exchange: Exchange) -> str | None:
    """Return what the request says of whom it was forwarded for, believed or not; `None`: nothing."""
    is_old = exchange.settings.forwarded_header == "x-forwarded"
    told = exchange.request.headers.get("x-forwarded-for" if is_old else "forwarded")
    return None if told is None else shortened(told)


def _text_of(entry: Mapping[str, Any]) -> str:
    request = f"{_escaped(entry['method'])} {_escaped(entry['target'])} HTTP/{entry['version']}"
    line = f'{entry["client"]} "{request}" status={entry["status"]}'
    if "seconds" not in entry:
        return f"{line} end={entry['end']}: {entry['reason']}"
    acked, confirmed, first = entry["acked"], entry["confirmed"], entry["first_byte"]
    told = entry["forwarded_for"]
    forwarded = "" if told is None else f' forwarded_for="{_escaped(told)}"'
    stalled = ",".join(f"{name}:{seconds:.1f}" for name, seconds in entry["stalled"].items())
    return (
        f"{line} route={entry['route']} first_byte={_UNKNOWN if first is None else f'{first:.3f}'}"
        f" seconds={entry['seconds']:.3f} current={entry['current']} sent={entry['sent']}"
        f" acked={_UNKNOWN if acked is None else acked}{confirmed_text(confirmed)} lag={entry['lag']:.3f}"
        f" stalled={stalled or _UNKNOWN} {entry['outcome']} end={entry['end']}"
        f"{forwarded}"
    )


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable() and not any(one in text for one in _QUOTED):
        return text
    return text.encode("unicode_escape").decode("ascii").replace('"', '\\"')


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
