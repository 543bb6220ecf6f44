"""A handler that tells what its server does: as JSON, as a page, as metrics for Prometheus."""

import json
from collections.abc import Sequence
from html import escape
from typing import Any
from urllib.parse import parse_qs

from httpng_core import Request, Response
from httpng_driver.handlers.io import IO
from httpng_driver.loop.pump import Pump
from httpng_driver.serving.control import Service
from httpng_driver.serving.measures import Measures, measures_of
from httpng_driver.serving.metrics import prometheus_text
from httpng_driver.serving.status import SORTS, Wanted, status_of

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem }
main { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #8884 }
th:first-child, td:first-child, .text { text-align: left }
td { white-space: nowrap } td:first-child { white-space: normal; overflow-wrap: anywhere; min-width: 12rem }
h1 { font-size: 1.3rem } p { color: #888 } .late { color: #d33 }
@media (max-width: 60rem) {
thead { display: none } table, tbody, td { display: block }
tr { display: flex; flex-wrap: wrap; column-gap: 1.2rem; padding: .4rem 0; border-bottom: 1px solid #8884 }
td { padding: 0; border: 0; text-align: left; white-space: normal; overflow-wrap: anywhere }
td:first-child { flex-basis: 100% } td + td::before { content: attr(data-of) " "; color: #888 }
}
""".strip()
_COLUMNS = (
    "target",
    "client",
    "age",
    "lag",
    "current",
    "sent",
    "acked",
    "confirmed",
    "rate",
    "rtt",
    "stalled_by",
)
_HEADINGS = {"stalled_by": "held by"}


async def status_handler(req: Request, io: IO) -> Response:
    """Answer with the state of the server that serves this request: `sites=[{"path": "/status", …}]`.

    A page for browsers; JSON for `Accept: application/json` or `?format=json`; metrics for
    `?format=prometheus` or a path that ends in `/metrics`, where prometheus-client is installed. `?limit=`
    says how many exchanges, `?sort=` by what, `?part=` what their target or client has in it, and
    `?connections=` how many connections. It tells the addresses and request targets of clients: mount it
    where only operators come.
    """
    if req.method not in ("GET", "HEAD"):
        # Nothing can be done by it: `httpng top` says so to who tries.
        return Response(status=405, headers={"allow": "GET, HEAD"}, body="only looking is allowed here\n")
    service = io.pump.hub.application.control if isinstance(io.pump, Pump) else None
    if not isinstance(service, Service):
        return Response(status=503, body="this server tells nothing of itself")
    try:
        wanted = wanted_of(req)
    except ValueError as error:
        return Response(status=400, body=f"{error}\n")
    if asks_for_metrics(req):
        return metrics([measures_of(service)])
    return rendered(req, status_of(service, wanted))


def wanted_of(req: Request) -> Wanted:
    """Return what the query of a request asks for.

    Raises:
        ValueError: it makes no sense.
    """
    query = {key: values[-1] for key, values in parse_qs(req.query or "").items()}
    limit, sort = query.get("limit", "100"), query.get("sort", "lag")
    connections = query.get("connections", "0")
    for name, number in (("limit", limit), ("connections", connections)):
        if not (number.isascii() and number.isdigit() and len(number) < 6):
            raise ValueError(f"{name} must be a whole number below 100000")
    if sort not in SORTS:
        raise ValueError(f"sort must be {', '.join(SORTS)}")
    return Wanted(int(limit), sort, query.get("part", ""), int(connections))


def rendered(req: Request, status: dict[str, Any]) -> Response:
    """Return a status in the form that a request asks for: JSON or a page."""
    if _form(req) == "json" or "application/json" in req.headers.get("accept", ""):
        return Response(headers={"content-type": "application/json"}, body=json.dumps(status))
    return Response(headers={"content-type": "text/html; charset=utf-8"}, body=_page(status))


def asks_for_metrics(req: Request) -> bool:
    """Return whether a request is one of Prometheus, and no status is wanted."""
    return _form(req) == "prometheus" or req.path.partition("?")[0].endswith("/metrics")


def metrics(measures: Sequence[Measures], *, of_workers: bool = False) -> Response:
    """Return what servers have measured, in the text of Prometheus."""
    found = prometheus_text(measures, of_workers=of_workers)
    if found is None:
        return Response(status=501, body="install prometheus-client to have metrics here")
    kind, text = found
    return Response(headers={"content-type": kind}, body=text)


def _form(req: Request) -> str:
    return parse_qs(req.query or "").get("format", [""])[-1]


def _page(status: dict[str, Any]) -> str:
    head = "".join(f"<th>{_heading(name)}</th>" for name in _COLUMNS)
    rows = "".join(_line(row) for row in status["exchanges"])
    held, budget = status["held"], status["memory_budget"]
    told = "" if held is None else f"; {held:,} bytes held of a budget of {budget:,}"
    ends = ", ".join(f"{escape(end)} {count:,}" for end, count in status["ends"].items()) or "none"
    counts = f"{_several(status['active'], 'exchange')} on {_several(status['connections'], 'connection')}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>httpng</title><style>{_STYLE}</style><h1>{counts}, "
        f"{_several(status['in_flight'], 'byte')} in flight{told}</h1>"
        f"<p>{_several(status['begun'], 'request')} so far; ends that were not clean: {ends}.</p>"
        f"<main><table><thead><tr>{head}</tr></thead>{rows}</table></main></html>"
    )


def _several(number: int, name: str) -> str:
    return f"{number:,} {name}" if number == 1 else f"{number:,} {name}s"


def _line(row: dict[str, Any]) -> str:
    # Where there is no room for columns, each cell says of what it is.
    cells = "".join(
        f'<td data-of="{_heading(name)}">{escape(_cell(name, row[name]))}</td>' for name in _COLUMNS
    )
    return f'<tr class="late">{cells}</tr>' if row["lag"] >= 1 else f"<tr>{cells}</tr>"


def _heading(name: str) -> str:
    return _HEADINGS.get(name, name)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "rtt":
        return f"{value * 1000:.1f} ms"
    if name in ("age", "lag"):
        return f"{value:,.1f} s"
    return str(value) if isinstance(value, str) else f"{value:,.0f}"
