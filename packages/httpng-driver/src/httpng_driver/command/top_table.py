"""What `httpng top` shows: tables of exchanges, connections and workers, as wide as the terminal."""

from typing import Any, Final

from httpng_driver.command.asking import Status

Row = dict[str, Any]

KEYS: Final = (
    "sort: l lag, a age, r rate, s sent, f current; / filter; up and down choose: k kill it, K kill its"
    " connection, w set its window; c connections, v workers, e exchanges; q quit"
)
_SHORT_KEYS: Final = "l a r s f sort  / filter  k kill  w window  c v e view  ? keys  q quit"
_COLUMNS: Final = {
    "e": ("target", "route", "client", "protocol", "age", "lag", "current", "sent", "acked", "confirmed",
          "rate", "rtt", "stalled_by", "skipped"),
    "c": ("id", "client", "port", "protocol", "exchanges", "idle", "sent", "rtt"),
    "v": ("pid", "loop", "connections", "active", "in_flight", "begun", "turns"),
}  # fmt: skip
_NARROW: Final = ("target", "client", "age", "lag", "sent", "rate", "stalled_by")
_NARROW_BELOW: Final = 110
_TEXTS: Final = frozenset({"target", "route", "client", "protocol", "stalled_by", "id"})
_SIZES: Final = frozenset({"current", "sent", "acked", "confirmed", "rate", "in_flight"})
_HEADINGS: Final = {"protocol": "http", "stalled_by": "held by", "in_flight": "in flight"}


def rows_of(status: Status, view: str) -> list[Row]:
    """Return what a view is about: "e" exchanges, "c" connections, "v" the loops of workers."""
    key = {"e": "exchanges", "c": "open", "v": "loops"}[view]
    return list(status.get(key, []))


def table(status: Status, view: str, chosen: str, told: str, by: str, width: int, height: int) -> Any:
    """Return what is to be seen: totals, rows with the `chosen` one marked, a last line."""
    from rich.table import Table

    names = _NARROW if view == "e" and width < _NARROW_BELOW else _COLUMNS[view]
    last = told or (_SHORT_KEYS if width < _NARROW_BELOW + 40 else KEYS)
    shown = Table(
        title=_title(status, by, width),
        caption=last,
        expand=True,
        box=None,
        header_style="bold",
        title_justify="left",
        caption_justify="left",
        padding=(0, 1, 0, 0),
    )
    for name in names:
        shown.add_column(
            _HEADINGS.get(name, name),
            no_wrap=True,
            justify="left" if name in _TEXTS else "right",
            ratio={"target": 2, "client": 1}.get(name) if view == "e" else None,
            overflow="ellipsis",
        )
    if view != "e":
        # What is left of the width.
        shown.add_column("", ratio=1)
    # Words aren't broken, so a text of several lines may take one more than its length says.
    lines = 1 if len(last) <= width else len(last) // width + 2
    for row in rows_of(status, view)[: max(height - 3 - lines, 1)]:
        style = "red" if row.get("lag", 0) >= 1 else ""
        is_chosen = bool(chosen) and row.get("id") == chosen
        shown.add_row(
            *(_text(name, row.get(name)) for name in names), style=f"{style} reverse" if is_chosen else style
        )
    return shown


def _title(status: Status, by: str, width: int) -> str:
    workers = len(status.get("workers", ()))
    parts = [
        _several(status["active"], "exchange"),
        _several(status["connections"], "connection"),
        f"{workers} workers" if workers > 1 else _several(len(status["loops"]), "loop"),
        f"{size(status['in_flight'])} in flight",
        _several(status["begun"], "request"),
        f"by {by}",
    ]
    if status["state"] != "running":
        parts.insert(0, status["state"])
    line = ", ".join(parts)
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _several(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _text(name: str, value: Any) -> Any:
    from rich.text import Text

    # Of a stranger: no markup, and nothing that a terminal obeys.
    return Text("".join(c if c.isprintable() else "?" for c in _cell(name, value)))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name in _SIZES:
        return size(value)
    if name == "rtt":
        return f"{value * 1000:.1f}ms"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def size(value: float) -> str:
    """Return a number of bytes in at most five characters."""
    for unit in ("", "k", "M"):
        if value < 10_000:
            return f"{value:.0f}{unit}"
        value /= 1000
    return f"{value:.0f}G"
