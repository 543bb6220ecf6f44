"""What HTTP means whatever carries it: requests, responses, dates, conditions, targets. Pure."""

from httpng_core.http.address import UNKNOWN_ADDRESS, Address
from httpng_core.http.body_rate import BODY_GRACE
from httpng_core.http.chunks import CHUNK_END, chunk
from httpng_core.http.dates import DateSource, HttpDate, http_date, parse_http_date
from httpng_core.http.fields import QueryParams
from httpng_core.http.file_info import FileInfo
from httpng_core.http.forwarded import Networks, apply_forwarded, client_of
from httpng_core.http.interim import interim_head
from httpng_core.http.media_types import content_type
from httpng_core.http.preconditions import Representation, Selected, representation, select
from httpng_core.http.priority import FAIR, Priority, parse_priority
from httpng_core.http.reading import BodySource, BodyStream, GivenRead
from httpng_core.http.request import Headers, Request
from httpng_core.http.response import (
    HeaderSource,
    HeaderValue,
    Response,
    ResponseHead,
    body_bytes,
    reason_phrase,
    response_head,
    switching_head,
    with_defaults,
)
from httpng_core.http.server_sent_events import sse_event, sse_headers
from httpng_core.http.target import check_host, host_and_path
from httpng_core.http.trailers import Fields, trailer_fields

__all__ = [
    "BODY_GRACE",
    "CHUNK_END",
    "FAIR",
    "UNKNOWN_ADDRESS",
    "Address",
    "BodySource",
    "BodyStream",
    "DateSource",
    "Fields",
    "FileInfo",
    "GivenRead",
    "HeaderSource",
    "HeaderValue",
    "Headers",
    "HttpDate",
    "Networks",
    "Priority",
    "QueryParams",
    "Representation",
    "Request",
    "Response",
    "ResponseHead",
    "Selected",
    "apply_forwarded",
    "body_bytes",
    "check_host",
    "chunk",
    "client_of",
    "content_type",
    "host_and_path",
    "http_date",
    "interim_head",
    "parse_http_date",
    "parse_priority",
    "reason_phrase",
    "representation",
    "response_head",
    "select",
    "sse_event",
    "sse_headers",
    "switching_head",
    "trailer_fields",
    "with_defaults",
]
