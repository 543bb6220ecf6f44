"""The grammar of HTTP/1.1 requests (RFC 9112, with RFC 9110 for fields) as regular expressions over bytes.

Every repetition is possessive or over classes that exclude what follows, so that nothing is tried twice: the
time of each match is linear in what it is given. Only CRLF ends a line. The RFC allows a recipient to take a
bare LF as well; two recipients that differ in that can be made to see two different requests.
"""

import re
from typing import Final

CRLF: Final = b"\r\n"
HEAD_END: Final = b"\r\n\r\n"

# RFC 9110, 5.6.2: token = 1*tchar.
_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# RFC 9110, 5.5: field-value, with optional whitespace around it; obs-text is taken, obs-fold isn't.
_VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
# RFC 9110, 5.6.4: quoted-string.
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'

# RFC 9112, 3: request-line, in the form that nearly all requests have: origin-form (3.2.1) and HTTP/1.x.
# The target may have all visible characters but "#": browsers send some that RFC 3986 wants encoded.
ORIGIN_LINE: Final = re.compile(
    rb"(?!CONNECT )(" + _TOKEN + rb") (/[\x21\x22\x24-\x7e]*+) HTTP/1\.([0-9])\r\n"
)
# The same with any target and any version, to be looked at further.
ANY_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]++) HTTP/([0-9])\.([0-9])\r\n")
# RFC 9112, 3.2.2: absolute-form; the authority, and the rest.
ABSOLUTE_FORM: Final = re.compile(rb"(?i:https?)://([^/?#]*+)([^#]*+)")

# RFC 9110, 7.2: uri-host [ ":" port ], so no userinfo and no path; nor a comma, by which two Host values
# can be made to look like one.
AUTHORITY: Final = re.compile(rb"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9._~!$&'()*+;=%\-]*+)(?::([0-9]*+))?+")
MAX_AUTHORITY: Final = 299

# RFC 9112, 5: *( field-name ":" OWS field-value OWS CRLF ); no whitespace before the colon (5.1), no
# obs-fold (5.2).
FIELD_LINES: Final = re.compile(rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+")
FIELD_LINE: Final = re.compile(_TOKEN + rb":" + _VALUE + rb"\r\n")
# Name and value of each line of a block that FIELD_LINES matches.
FIELDS: Final = re.compile(rb"([^:\r\n]++):[\t ]*+([^\r]*+)")
# The fields that say how a request is delimited and what becomes of its connection.
_FRAMING: Final = (b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade")
# It begins with the line feed before the name, for which the search is a memchr: so a block is given with one
# in front.
FRAMING_FIELDS: Final = re.compile(rb"\n((?i:" + b"|".join(_FRAMING) + rb"):[^\r]*+)")

# Field lines that are none of those. Most are told from them by their first letter.
_FRAMING_NAME: Final = b"|".join([b"[%c%c](?i:%s)" % (name[0] - 32, name[0], name[1:]) for name in _FRAMING])
OTHER_LINES: Final = re.compile(
    rb"(?:(?!(?:" + _FRAMING_NAME + rb"):)" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+"
)

# RFC 9112, 7.1: chunk-size [ chunk-ext ] CRLF, and 7.1.1: whitespace only around ";" and "=".
CHUNK_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)(?:[\t ]*+;[\t ]*+"
    + _TOKEN
    + rb"(?:[\t ]*+=[\t ]*+(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?+)*+\r\n"
)

# What can be part of no head and of no chunk line, whatever follows: a control character but TAB, a bare CR,
# a bare LF. Looked for in what isn't whole yet, so that nobody waits for the end of what can't become valid.
BROKEN: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?=[^\n])")
