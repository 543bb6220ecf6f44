"""What chromium shows of the status page: all of it, on a wide window and on a telephone."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.interop.chromium import Page, browsing
from tests.interop.test_examples import BOUND, ask, connect, running

APP = """
import httpng

async def endless(req, io):
    await io.write("x" * 4_000_000, timeout=3600)

app = httpng.Application(
    sites=[{"path": "/status", "handler": httpng.status_handler}, {"path": "/", "handler": endless}]
)
"""
SHOWN = """
(() => {
  const seen = [...document.querySelectorAll("h1, p, th, td")].filter(one => one.getClientRects().length)
  return {
    cells: [...document.querySelectorAll("tr:last-child td")].map(one => one.dataset.of),
    labels: [...document.querySelectorAll("tr:last-child td")].map(
      one => getComputedStyle(one, "::before").content),
    headings: [...document.querySelectorAll("th")].filter(one => one.getClientRects().length).length,
    right: Math.max(...seen.map(one => one.getBoundingClientRect().right)),
    scrolled: [document.documentElement, document.querySelector("main")].map(
      one => one.scrollWidth - one.clientWidth),
  }
})()
"""


def shown(page: Page, url: str, width: int) -> dict[str, Any]:
    """What is where, in a window so wide, once a row is there."""
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False
    )
    page.call("Page.navigate", url=url)
    deadline = time.monotonic() + BOUND
    while not page.evaluate("document.querySelectorAll('td').length"):
        assert time.monotonic() < deadline
    found: dict[str, Any] = page.evaluate(SHOWN)
    return found


@pytest.mark.parametrize("width", [400, 780, 1300])
def test_nothing_is_cut_off(program: Callable[[str], str], tmp_path: Path, width: int) -> None:
    chromium = program("chromium")
    (tmp_path / "app.py").write_text(APP)
    command = ("-m", "httpng_asyncio", f"{tmp_path / 'app.py'}:app", "--listen", "127.0.0.1:0")
    with running(*command) as (_, port), connect(port) as sock:
        ask(sock, f"/prices/of/{'a' * 100}?since=1234567890")
        with browsing(chromium, tmp_path / "profile", BOUND) as page:
            found = shown(page, f"http://127.0.0.1:{port}/status?part=prices", width)
    assert found["right"] <= width
    assert max(found["scrolled"]) <= 0
    assert found["cells"][0] == "target"
    assert found["cells"][-1] == "held by"
    # What a column is said by its heading, or by each cell.
    folded = found["headings"] == 0
    assert folded == (width < 960)
    assert [label != "none" for label in found["labels"][1:]] == [folded] * (len(found["cells"]) - 1)
