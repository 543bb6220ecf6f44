"""The application in Django: it has neither background tasks nor a lifespan."""

from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from tests.frameworks.apps import PIECES, events

settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="of this test", MIDDLEWARE=[], LOGGING_CONFIG=None
)


async def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello", content_type="text/plain")


async def json(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"a": [1, 2]})


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> Any:
        for piece in PIECES:
            yield piece

    return StreamingHttpResponse(pieces(), content_type="text/plain")


async def sse(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(events(), content_type="text/event-stream")


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST["name"])


def upload(request: HttpRequest) -> HttpResponse:
    file: Any = request.FILES["file"]
    return HttpResponse(f"{file.name} {file.size}")


async def error(request: HttpRequest) -> HttpResponse:
    raise LookupError("on purpose")


urlpatterns = [path(view.__name__, view) for view in (hello, json, stream, sse, form, upload, error)]
django.setup()
app = get_asgi_application()
