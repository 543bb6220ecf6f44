"""How keys of a feed are written as subjects of NATS.

What a bucket's keys can't have is written `=` and two hexadecimal digits for each byte; `=` alone is the key
`None`.
"""

import re
from typing import Final
from urllib.parse import unquote

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_/.-]|^\.|\.$|\.(?=\.)")


def subject_of(key: str | None) -> str:
    """Return a key as a bucket may have it."""

    def escaped(found: re.Match[str]) -> str:
        return "".join(f"={byte:02X}" for byte in found[0].encode(errors="surrogateescape"))

    if key is None:
        return "="
    return _UNSAFE.sub(escaped, key)


def key_of(subject: str) -> str | None:
    """Return the key; what others have written otherwise is taken as it is."""
    if subject == "=":
        return None
    if re.search(r"=(?![0-9A-F]{2})", subject):
        return subject
    return unquote(subject.replace("=", "%"), errors="surrogateescape")
