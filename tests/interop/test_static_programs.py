"""curl, which knows nothing of us, fetches files."""

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.driver.harness import Serving, in_thread

pytestmark = pytest.mark.anyio

Program = Callable[[str], str]
BODY = bytes(range(251)) * 20_000


@pytest.fixture
def www(tmp_path: Path) -> Path:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "page.html").write_text("<p>h\N{LATIN SMALL LETTER E WITH ACUTE}llo")
    (tmp_path / "www" / "big").write_bytes(BODY)
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "www" / "link").symlink_to("../secret")
    return tmp_path / "www"


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(command, capture_output=True, timeout=60, check=False)


async def curl(program: Program, *arguments: str) -> tuple[bytes, dict[str, str], int]:
    """The body, the headers and the status that curl got."""
    marks = ["--write-out", "\n%{http_code}", "--dump-header", "/dev/stderr"]
    ran = await in_thread(
        run, [program("curl"), "--silent", "--path-as-is", "--max-time", "30", *marks, *arguments]
    )
    assert ran.returncode == 0, ran.stderr
    body, _, status = ran.stdout.rpartition(b"\n")
    lines = [line.partition(": ") for line in ran.stderr.decode().splitlines()[1:]]
    return body, {name.lower(): value for name, _, value in lines}, int(status)


async def test_curl_fetches_a_page_and_asks_whether_it_has_changed(
    program: Program, serving: Serving, www: Path, tmp_path: Path
) -> None:
    etag = str(tmp_path / "etag")
    async with serving(www) as server:
        url = f"{server.addresses[0].url}/page.html"
        body, headers, _ = await curl(program, "--etag-save", etag, url)
        by_tag = await curl(program, "--etag-compare", etag, url)
        by_date = await curl(program, "--time-cond", headers["last-modified"], url)
        by_old_date = await curl(program, "--time-cond", "Sun, 06 Nov 1994 08:49:37 GMT", url)
        by_file = await curl(program, "--time-cond", str(www / "page.html"), url)
    assert body == (www / "page.html").read_bytes()
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert [by_tag[2], by_date[2], by_old_date[2], by_file[2]] == [304, 304, 200, 304]


async def test_curl_fetches_ranges(program: Program, serving: Serving, www: Path) -> None:
    async with serving(www) as server:
        url = f"{server.addresses[0].url}/big"
        part = await curl(program, "--range", "70000-70009", url)
        end = await curl(program, "--range", "-10", url)
        several = await curl(program, "--range", "0-0,5-5", url)
        beyond = await curl(program, "--range", "99999999-", url)
    assert (part[0], part[2]) == (BODY[70000:70010], 206)
    assert part[1]["content-range"] == f"bytes 70000-70009/{len(BODY)}"
    assert (end[0], end[2]) == (BODY[-10:], 206)
    assert (several[0], several[2]) == (BODY, 200)
    assert (beyond[2], beyond[1]["content-range"]) == (416, f"bytes */{len(BODY)}")


async def test_curl_goes_on_with_a_download(
    program: Program, serving: Serving, www: Path, tmp_path: Path
) -> None:
    partial = tmp_path / "partial"
    partial.write_bytes(BODY[:123_456])
    async with serving(www) as server:
        await curl(program, "--continue-at", "-", "--output", str(partial), f"{server.addresses[0].url}/big")
    assert partial.read_bytes() == BODY


async def test_curl_asks_for_the_head(program: Program, serving: Serving, www: Path) -> None:
    async with serving(www) as server:
        _, headers, status = await curl(program, "--head", f"{server.addresses[0].url}/big")
    assert (status, headers["content-length"]) == (200, str(len(BODY)))


@pytest.mark.parametrize(
    "path",
    [
        "/../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/%2e%2e%2fsecret",
        "/page.html/../../secret",
        "/%252e%252e/secret",
        "/..%5csecret",
        "//../secret",
        "/link",
        "/page.html%00",
        "/",
    ],
)
async def test_curl_gets_nothing_from_outside(
    program: Program, serving: Serving, www: Path, path: str
) -> None:
    async with serving(www) as server:
        body, _, status = await curl(program, server.addresses[0].url + path)
    assert (status, body) == (404, b"not found")


async def test_curl_may_not_post(program: Program, serving: Serving, www: Path) -> None:
    async with serving(www) as server:
        _, headers, status = await curl(program, "--data", "x", f"{server.addresses[0].url}/big")
    assert (status, headers["allow"]) == (405, "GET, HEAD")
