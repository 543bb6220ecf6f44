"""What HTTP means whatever carries it: requests, responses, dates, conditions, targets. Pure."""

from httpng_core.http.chunks import CHUNK_END
from httpng_core.http.dates import DateSource, HttpDate, http_date, parse_http_date
from httpng_core.http.media_types import content_type
from httpng_core.http.preconditions import Representation, Selected, select
from httpng_core.http.priority import FAIR, Priority, parse_priority
from httpng_core.http.request import UNKNOWN_ADDRESS, Address, Headers, Request
from httpng_core.http.response import (
    HeaderSource,
    HeaderValue,
    Response,
    ResponseHead,
    body_bytes,
    response_head,
)
from httpng_core.http.target import check_host, host_and_path

__all__ = [
    "CHUNK_END",
    "FAIR",
    "UNKNOWN_ADDRESS",
    "Address",
    "DateSource",
    "HeaderSource",
    "HeaderValue",
    "Headers",
    "HttpDate",
    "Priority",
    "Representation",
    "Request",
    "Response",
    "ResponseHead",
    "Selected",
    "body_bytes",
    "check_host",
    "content_type",
    "host_and_path",
    "http_date",
    "parse_http_date",
    "parse_priority",
    "response_head",
    "select",
]
