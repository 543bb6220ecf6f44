"""Unix sockets: their files, what is told of the two ends, and what the kernel can't tell."""

import socket
from pathlib import Path

import pytest
from tests.certificates import as_conf, trusting
from tests.driver.harness import (
    BOUND,
    GET,
    Client,
    Observed,
    Serving,
    in_thread,
)

from httpng_core import (
    AckedUnknownError,
    CertificateFiles,
    ConfigError,
    Request,
    TlsFiles,
)
from httpng_driver import IO

pytestmark = pytest.mark.anyio


class UnixClient(Client):
    """A client of a Unix socket."""

    def __init__(self, path: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.wire, self.taken, self.ended = bytearray(), 0, ""
        self.socket.settimeout(BOUND)
        self.socket.connect(path)


def where(req: Request) -> str:
    peer, ours = req.peer, req.ouraddr
    return f"{peer.host!r} {peer.family} {peer.protocol} {ours.host} {ours.port} {ours.family} {ours.type}"


async def test_a_unix_socket(serving: Serving, tmp_path: Path) -> None:
    file = tmp_path / "a.sock"
    path = str(file)
    async with serving(where, listen=[f"unix:{path}", "127.0.0.1:0"]) as server:
        assert server.addresses[0].url == f"unix:{path}"
        with UnixClient(path) as client:
            received = await in_thread(client.ask)
    assert received.body.decode() == f"'' AF_UNIX unix {path} 0 AF_UNIX SOCK_STREAM"
    assert not file.exists(), "removed at the end"


async def test_a_unix_socket_is_slow_too_and_acknowledges_nothing(serving: Serving, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")

    @Observed
    async def handler(req: Request, io: IO) -> tuple[int, int, int | None]:
        result = await io.write(b"x" * 9_000_000, timeout=0.2)
        assert result is not None
        with pytest.raises(AckedUnknownError):
            await io.wait(0, 0, "acked")
        stats = io.get_send_stats()
        await io.close()
        return result.body_bytes_sent, stats.sent, stats.acked

    async with serving(handler, listen=f"unix:{path}", default_send_window=0) as server:
        with UnixClient(path) as client:
            client.send(GET)
            reported, sent, acked = await handler.outcome()
            received = await in_thread(client.read_response)
        assert server.connections <= 1
    assert 0 < sent <= reported == len(received.body)
    assert acked is None


@pytest.mark.parametrize(("mode", "expected"), [("600", 0o600), ("0666", 0o666)])
async def test_permissions(serving: Serving, tmp_path: Path, mode: str, expected: int) -> None:
    path = tmp_path / "a.sock"
    async with serving(where, listen={"addr": f"unix:{path}", "mode": mode}):
        assert path.stat().st_mode & 0o777 == expected


async def test_a_file_that_was_left_over_is_replaced(serving: Serving, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    async with serving(where, listen=f"unix:{path}"):
        with UnixClient(path) as client:
            assert (await in_thread(client.ask)).status == 200


async def test_one_on_which_somebody_listens_is_not(serving: Serving, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    async with serving(where, listen=f"unix:{path}"):
        with pytest.raises(ConfigError, match=f"bind error: unix:{path}: Address already in use"):
            async with serving(where, listen=f"unix:{path}"):
                pass
        with UnixClient(path) as client:
            assert (await in_thread(client.ask)).status == 200


async def test_one_whose_listener_is_busy_is_not(serving: Serving, tmp_path: Path) -> None:
    path = str(tmp_path / "a.sock")
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(path)
        busy.listen(0)
        waiting.connect(path)
        with pytest.raises(ConfigError, match="Address already in use"):
            async with serving(where, listen=f"unix:{path}"):
                pass


async def test_a_file_of_another_kind_is_left_alone(serving: Serving, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="Address already in use"):
        async with serving(where, listen=f"unix:{path}"):
            pass
    assert path.read_text() == "precious"


async def test_a_path_that_can_not_be(serving: Serving, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"bind error: unix:/nowhere/a.sock: No such file or directory"):
        async with serving(where, listen="unix:/nowhere/a.sock"):
            pass
    long = f"unix:{tmp_path}/{'a' * 200}"
    with pytest.raises(ConfigError, match=f"bind error: {long}: AF_UNIX path too long"):
        async with serving(where, listen=long):
            pass


async def test_a_platform_without_unix_sockets(
    serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.delattr(socket, "AF_UNIX")
        with pytest.raises(ConfigError, match=r"unix:.*: this platform has no Unix sockets"):
            async with serving(where, listen=f"unix:{tmp_path}/a.sock"):
                pass


async def test_a_file_that_is_another_ones_by_now_is_not_removed(serving: Serving, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    async with serving(where, listen=f"unix:{path}"):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


async def test_tls_over_a_unix_socket(serving: Serving, pair: CertificateFiles, tmp_path: Path) -> None:
    path = f"{tmp_path}/a.sock"
    conf = {"addr": f"unix:{path}", "tls": as_conf(TlsFiles((pair,)))["tls"]}

    def ask() -> bytes:
        with (
            socket.socket(socket.AF_UNIX) as plain,
            trusting(pair).wrap_socket(plain, server_hostname="localhost") as sock,
        ):
            sock.settimeout(BOUND)
            sock.connect(path)
            sock.sendall(GET)
            return sock.recv(65536)

    async with serving(lambda req: f"https {req.https}", listen=conf):
        assert b"https True" in await in_thread(ask)
