"""Files below a directory: what is opened, and that nothing outside is, whatever is changed meanwhile."""

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from httpng_core import ConfigError
from httpng_driver.handlers import check_directories, open_below


@pytest.fixture
def www(tmp_path: Path) -> Path:
    """A directory, with one beside it that must stay out of reach."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").write_text("secret")
    www = tmp_path / "www"
    (www / "sub" / "below").mkdir(parents=True)
    (www / "file").write_text("file")
    (www / "sub" / "file").write_text("sub")
    (www / "sub" / "below" / "file").write_text("below")
    return www


def read(directory: Path, path: str) -> str:
    fd = open_below(str(directory), path.encode().split(b"/"))
    with open(fd) as file:
        return file.read()


def refused(directory: Path, path: str) -> bool:
    with pytest.raises(FileNotFoundError):
        read(directory, path)
    return True


def open_files(below: Path) -> list[str]:
    """What this process has open there."""
    links = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return [link for link in links if link.startswith(str(below))]


@pytest.mark.parametrize(
    ("path", "text"), [("file", "file"), ("sub/file", "sub"), ("sub/below/file", "below")]
)
def test_regular_files_on_every_level(www: Path, path: str, text: str) -> None:
    assert read(www, path) == text
    assert open_files(www) == []


@pytest.mark.parametrize(
    "path", ["sub", "sub/below", "missing", "sub/missing", "missing/file", "file/x", "x" * 300]
)
def test_there_are_no_others(www: Path, path: str) -> None:
    assert refused(www, path)
    assert open_files(www) == []


def test_no_fifo_socket_or_device_is_opened(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(www / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(www / "socket"))
        (www / "null").symlink_to("/dev/null")
        opened: list[object] = []
        after(monkeypatch, os, "open", lambda name, flags: opened.append(name))
        assert all([refused(www, "fifo"), refused(www, "socket"), refused(www, "null")])
        assert refused(Path("/dev"), "null")
    assert set(opened) <= {os.fsencode(www), b"/dev"}


# Symbolic links ---------------------------------------------------------------------------------------

INSIDE: list[tuple[str, str, str]] = [
    ("link", "file", "link"),
    ("link", "sub/file", "link"),
    ("link", "sub", "link/file"),
    ("link", "sub/../sub/below", "link/file"),
    ("sub/link", "../file", "sub/link"),
    ("sub/link", "../sub", "sub/link/below/file"),
    ("link", "../www/file", "link"),
    ("link", ".", "link/link/file"),
]


@pytest.mark.parametrize(("link", "to", "path"), INSIDE)
def test_links_that_stay_in_the_directory_are_followed(www: Path, link: str, to: str, path: str) -> None:
    (www / link).symlink_to(to)
    assert read(www, path) in ("file", "sub", "below")
    assert open_files(www) == []


def test_absolute_links_into_the_directory_are_followed(www: Path) -> None:
    (www / "link").symlink_to(www / "sub")
    assert read(www, "link/file") == "sub"


@pytest.mark.parametrize(
    ("link", "to", "path"),
    [
        ("link", "../secret/file", "link"),
        ("link", "../secret", "link/file"),
        ("link", "..", "link/secret/file"),
        ("sub/link", "../../secret", "sub/link/file"),
        ("link", "/", "link/etc/passwd"),
        ("link", "/etc/passwd", "link"),
        ("link", "/proc/self/cwd", "link/x"),
        ("link", "link", "link"),
        ("link", "missing", "link"),
        ("link", ".", "link"),
        ("link", "../www", "link"),
        ("link", "sub/file", "link/x"),
    ],
)
def test_links_that_lead_out_or_nowhere_are_not(www: Path, link: str, to: str, path: str) -> None:
    (www / link).symlink_to(to)
    assert refused(www, path)
    assert open_files(www.parent) == []


def test_a_directory_beside_with_a_longer_name_is_outside(www: Path) -> None:
    beside = www.parent / "www2"
    beside.mkdir()
    (beside / "file").write_text("secret")
    (www / "link").symlink_to("../www2/file")
    assert refused(www, "link")


def test_the_directory_itself_may_be_a_link(www: Path) -> None:
    current = www.parent / "current"
    current.symlink_to("www")
    (www / "link").symlink_to("sub/file")
    assert read(current, "file") == "file"
    assert read(current, "link") == "sub"
    # A release is replaced by a new one.
    current.unlink()
    current.symlink_to("secret")
    assert read(current, "file") == "secret"


# Races ------------------------------------------------------------------------------------------------


def swap(path: Path, to: str) -> None:
    path.rename(path.with_name(f"{path.name}.away"))
    path.symlink_to(to)


def after(monkeypatch: pytest.MonkeyPatch, place: Any, name: str, act: Callable[..., None]) -> None:
    """Has `act` done right after a call, with the call's arguments."""
    true = getattr(place, name)

    def acting(*args: Any, **named: Any) -> Any:
        result = true(*args, **named)
        act(*args)
        return result

    monkeypatch.setattr(place, name, acting)


@pytest.mark.parametrize(
    ("looked_at", "put", "to", "path"),
    [
        (b"file", "file", "../secret/file", "file"),
        (b"file", "sub/file", "../../secret/file", "sub/file"),
        (b"sub", "sub", "../secret", "sub/file"),
        (b"below", "sub", "../secret", "sub/below/missing"),
    ],
)
def test_a_link_that_is_put_there_once_it_was_looked_at_leads_nowhere(
    www: Path, monkeypatch: pytest.MonkeyPatch, looked_at: bytes, put: str, to: str, path: str
) -> None:
    after(monkeypatch, os, "stat", lambda name: swap(www / put, to) if name == looked_at else None)
    assert refused(www, path)
    assert (www / put).is_symlink()
    assert open_files(www.parent) == []


def test_a_level_that_is_moved_away_is_still_the_one_that_was_opened(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was inside when it was entered stays what is read, not what a link in its place shows."""
    after(monkeypatch, os, "stat", lambda name: swap(www / "sub", "../secret") if name == b"below" else None)
    assert read(www, "sub/below/file") == "below"


@pytest.mark.parametrize("put", ["sub", "sub/file"])
def test_a_link_that_is_put_there_once_links_were_resolved_leads_nowhere(
    www: Path, monkeypatch: pytest.MonkeyPatch, put: str
) -> None:
    (www / "link").symlink_to("sub/file")
    to = "../secret" if put == "sub" else "../../secret/file"
    after(
        monkeypatch, os.path, "realpath", lambda path: swap(www / put, to) if path.endswith(b"link") else None
    )
    assert refused(www, "link")
    assert (www / put).is_symlink()
    assert open_files(www.parent) == []


def test_a_fifo_that_is_put_there_once_it_was_looked_at_is_not_waited_for(
    www: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace(name: object) -> None:
        if name == b"file":
            (www / "file").unlink()
            os.mkfifo(www / "file")

    after(monkeypatch, os, "stat", replace)
    assert refused(www, "file")
    assert open_files(www) == []


def test_other_errors_are_told_as_they_are(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: object) -> None:
        if name == b"file":
            raise PermissionError(13, "Permission denied")

    after(monkeypatch, os, "stat", fail)
    with pytest.raises(PermissionError):
        read(www, "file")
    assert open_files(www) == []


# At the start -----------------------------------------------------------------------------------------


def test_a_directory_is_checked_before_it_is_served(www: Path) -> None:
    check_directories([])
    check_directories([str(www)])
    with pytest.raises(ConfigError, match="missing: No such file or directory"):
        check_directories([str(www), str(www / "missing")])
    with pytest.raises(ConfigError, match="file: Not a directory"):
        check_directories([str(www / "file")])


def test_without_openat_no_directory_is_served(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "supports_dir_fd", set())
    check_directories([])
    with pytest.raises(ConfigError, match="it has no openat"):
        check_directories([str(www)])
