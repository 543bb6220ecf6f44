"""What a query and a Cookie header say."""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl


class QueryParams(Mapping[str, str]):
    """The parameters of a query by name, percent-decoded as UTF-8; of a name that came twice the last.

    What isn't UTF-8 becomes the replacement character. `get_all` gives all values of a name.
    """

    def __init__(self, query: str) -> None:
        """Read `name=value&other=value`."""
        self._values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
            self._values.setdefault(name, []).append(value)

    def get_all(self, name: str) -> list[str]:
        """Return all values of `name`, in order; an empty list if it isn't there."""
        return list(self._values.get(name, ()))

    def __getitem__(self, name: str) -> str:
        return self._values[name][-1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"QueryParams({self._values!r})"


def parse_cookies(header: str) -> dict[str, str]:
    """Return the cookies of a Cookie header (RFC 6265, 5.4); of a name that came twice the first.

    The first is that of the longer path. Values are as they came, without quotes around them.
    """
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, equals, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not equals or not name:
            continue
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        found.setdefault(name, value)
    return found
