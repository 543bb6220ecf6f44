"""What is known of a file without reading it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """What is known of a regular file that was opened.

    Attributes:
        size: its length in bytes.
        mtime_ns: when its content was last changed, in nanoseconds since 1970. Whoever copies a file may set
            this at will.
        opened_at: when this was asked, in seconds since 1970 by the same clock.
        ctime_ns: when anything of it was last changed, which nobody can set; `None`: there is no such time,
            and `mtime_ns` can be believed.
        inode: which file of its file system it is.
        device: which file system that is.
        tick_ns: by how much these times may be too early: two changes within that may have the same time.
    """

    size: int
    mtime_ns: int
    opened_at: float
    ctime_ns: int | None = None
    inode: int = 0
    device: int = 0
    tick_ns: int = 0
