"""TLS for two names at one port, and the plain port that sends clients there.

    for name in one two; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
      -subj /CN=$name.test -addext subjectAltName=DNS:$name.test -keyout $name.key -out $name.pem; done
    python -m httpng_asyncio examples/names.py:app
    curl --cacert one.pem --resolve one.test:3443:127.0.0.1 https://one.test:3443/
    curl -i -H 'Host: two.test' http://127.0.0.1:3380/path

CERTIFICATES names the directory of these files, TLS_PORT and PLAIN_PORT other ports than 3443 and 3380. Send
SIGHUP after you have replaced the files. uses_sni needs httpng-core[tls].
"""

import os

from httpng_asyncio import Application, Request, Response

DIRECTORY = os.environ.get("CERTIFICATES", ".")
TLS_PORT = int(os.environ.get("TLS_PORT", 3443))
PLAIN_PORT = int(os.environ.get("PLAIN_PORT", 3380))
TEXTS = {"one.test": "this is the first\n", "two.test": "this is the second\n"}


def pair(name: str) -> dict[str, str]:
    return {
        "certificate_file": f"{DIRECTORY}/{name}.pem",
        "certificate_key_file": f"{DIRECTORY}/{name}.key",
    }


def handler(req: Request) -> str | Response:
    if not req.https:
        return Response(status=308, headers={"location": f"https://{req.host}:{TLS_PORT}{req.path}"})
    # A connection may be used for another name.
    return TEXTS.get(req.host) or Response(status=421, body="not here\n")


app = Application(
    handler,
    min_proto_version="tls1.2",
    listen=[
        {"addr": "127.0.0.1", "port": TLS_PORT, "uses_sni": True, "tls": [pair("one"), pair("two")]},
        {"addr": "127.0.0.1", "port": PLAIN_PORT},
    ],
)
