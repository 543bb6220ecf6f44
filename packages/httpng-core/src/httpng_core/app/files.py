"""How files are read: that is input and output, so a driver's. Here is only what the core asks of it."""

from collections.abc import Callable, Sequence
from typing import Protocol

from httpng_core.http.file_info import FileInfo
from httpng_core.sending.calls import Pending


class FileRead(Pending):
    """One read.

    Attributes:
        data: once settled what was read, which may be less than was asked for; empty: the file ends here.
    """

    __slots__ = ("data",)

    def __init__(self) -> None:
        super().__init__()
        self.data = b""


class File(Protocol):
    """A file that is being read, by one reader. None of this blocks."""

    @property
    def opening(self) -> Pending:
        """Settles when the file is open.

        With an error instead: FileNotFoundError for all that isn't a regular file in the directory,
        PermissionError, or another OSError.
        """

    @property
    def info(self) -> FileInfo:
        """What the file is; there once `opening` has settled."""

    def read(self, offset: int, size: int) -> FileRead:
        """Read at most `size` bytes from `offset` on; one read at a time."""

    def close(self) -> None:
        """Give the file back, also one that is being opened or read. Again: nothing."""


Files = Callable[[str, Sequence[bytes]], File]
"""Opens the file below a directory that names, one for each level, lead to.

None of them is empty, a dot segment, or has a slash or NUL in it. Symbolic links are followed, but not out of
the directory, whatever is changed there meanwhile.
"""
