"""Static files, whatever carries them: whole, in part, not at all, and never from outside."""

from pathlib import Path

import pytest
from tests.driver.harness import in_thread
from tests.driver.net import Net

pytestmark = pytest.mark.anyio

BODY = bytes(range(256)) * 2000


@pytest.fixture
def www(tmp_path: Path) -> Path:
    (tmp_path / "big.css").write_bytes(BODY)
    (tmp_path / "below").mkdir()
    (tmp_path / "out").symlink_to("/etc/passwd")
    return tmp_path


async def test_a_file_and_its_forms(net: Net, www: Path) -> None:
    async with (
        net.serving(None, sites=[{"path": "/files", "handler": www}]) as server,
        net.connect(server) as client,
    ):
        whole = await in_thread(client.get, "/files/big.css")
        assert (whole.status, whole.body) == (200, BODY)
        headers = whole.headers or {}
        assert headers["content-type"].startswith("text/css")
        assert headers["content-length"] == str(len(BODY))
        head = await in_thread(client.get, "/files/big.css", "HEAD")
        assert (head.status, head.body, (head.headers or {})["etag"]) == (200, b"", headers["etag"])
        part = await in_thread(client.get, "/files/big.css", "GET", [("range", "bytes=1000-300999")])
        assert (part.status, part.body) == (206, BODY[1000:301000])
        same = await in_thread(client.get, "/files/big.css", "GET", [("if-none-match", headers["etag"])])
        assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/files/out", "/files/below", "/files/", "/files/%2e%2e/x", "/files/big.css%00", "/files/none"]
)
async def test_what_is_not_served(net: Net, www: Path, path: str) -> None:
    async with (
        net.serving(None, sites=[{"path": "/files", "handler": www}]) as server,
        net.connect(server) as client,
    ):
        received = await in_thread(client.get, path)
        assert received.status == 404
        # The connection goes on.
        assert (await in_thread(client.get, "/files/big.css")).body == BODY
