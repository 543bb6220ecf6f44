"""Opening a file below a directory, and never one outside, whatever is changed on disk meanwhile.

Every level is opened by its name in the one above (openat), and never through a symbolic link. Where there
is a link, the path is resolved, and if it is still below the directory it is walked once more in the same
way: a link that turns up then was put there in between, and is refused.
"""

import errno
import os
from collections.abc import Callable, Sequence
from stat import S_ISDIR, S_ISLNK, S_ISREG

from httpng_core import ConfigError

# Where these are absent there is no openat either; `check_directories` says so.
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
# O_PATH: to go through a directory one needn't be allowed to list it.
_LEVEL = getattr(os, "O_PATH", 0) | getattr(os, "O_DIRECTORY", 0)
# Should it have become a FIFO or a terminal since it was looked at.
_FILE = _NOFOLLOW | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_NOWHERE = (errno.ELOOP, errno.EMLINK, errno.ENAMETOOLONG, errno.ENOTDIR)


class _LinkMetError(Exception):
    """A level is a symbolic link."""


def check_directories(directories: Sequence[str]) -> None:
    """Check that directories can be served. Blocks.

    Raises:
        ConfigError: one isn't there or may not be entered, or the platform can't keep requests inside of it.
    """
    if directories and (not _NOFOLLOW or os.open not in os.supports_dir_fd):
        raise ConfigError("static directories can't be served safely on this platform: it has no openat")
    for directory in directories:
        try:
            os.close(os.open(directory, _LEVEL))
        except OSError as error:
            raise ConfigError(f"can't serve the directory {directory}: {error.strerror}") from error


def open_below(directory: str, names: Sequence[bytes]) -> int:
    """Return a descriptor of the regular file that `names` lead to, to be closed by the caller. Blocks.

    Raises:
        FileNotFoundError: there is none in the directory: also for a directory, a device, a FIFO, a socket,
            and for a link that leads out.
        PermissionError, OSError: it can't be opened.
    """
    root = os.fsencode(directory)
    try:
        return _walk(root, names)
    except _LinkMetError:
        pass
    real_root, real = os.path.realpath(root), os.path.realpath(os.path.join(root, *names))
    if os.path.commonpath((real_root, real)) != real_root:
        raise FileNotFoundError(f"{real!r} is outside of {directory}")
    try:
        return _walk(real_root, os.path.relpath(real, real_root).split(b"/"))
    except _LinkMetError:
        raise FileNotFoundError(f"{real!r} was changed meanwhile") from None


def _walk(root: bytes, names: Sequence[bytes]) -> int:
    # The directory itself may be a link: that was its owner's choice.
    level = os.open(root, _LEVEL)
    try:
        for name in names[:-1]:
            _expect(S_ISDIR, name, level)
            below = os.open(name, _LEVEL | _NOFOLLOW, dir_fd=level)
            level, above = below, level
            os.close(above)
        # Looked at first: to open a device may have effects of its own.
        _expect(S_ISREG, names[-1], level)
        return _regular(os.open(names[-1], _FILE, dir_fd=level))
    except OSError as error:
        if error.errno in _NOWHERE:
            raise FileNotFoundError(error.strerror) from error
        raise
    finally:
        os.close(level)


def _expect(kind: Callable[[int], bool], name: bytes, level: int) -> None:
    mode = os.stat(name, dir_fd=level, follow_symlinks=False).st_mode
    if S_ISLNK(mode):
        raise _LinkMetError
    if not kind(mode):
        raise FileNotFoundError(f"{name!r} is of another kind")


def _regular(fd: int) -> int:
    if S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise FileNotFoundError("it was replaced meanwhile, and is no regular file")
