"""A chat over WebSockets, with its page: everybody gets what is said from then on, each at their own pace.

    python -m httpng_asyncio examples/chat_ws.py:app
    xdg-open 'http://127.0.0.1:3300/?as=ada'          # in two windows

Nobody waits for a slow client: up to 64 KiB wait for it, then the oldest messages are skipped, and it is
told. A server that stops closes with 1012, and the page connects anew.
"""

import json

import anyio

from httpng_asyncio import IO, Application, Feed, Request, Response, Router, WebSocket

messages = Feed(policy="every", max_queued=65536, overflow="drop_oldest")

PAGE = """<!doctype html>
<title>chat</title>
<form><input name="text" autofocus autocomplete="off"> <button>say</button></form>
<ul></ul>
<script>
const form = document.forms[0], name = new URLSearchParams(location.search).get("as") || "somebody"
let socket
function connect() {
  socket = new WebSocket(location.origin.replace("http", "ws") + "/ws?as=" + encodeURIComponent(name))
  socket.onmessage = (event) => {
    const line = document.createElement("li"), said = JSON.parse(event.data)
    line.textContent = said.missed ? `(${said.missed} messages missed)` : `${said.from}: ${said.text}`
    document.querySelector("ul").prepend(line)
  }
  socket.onclose = () => setTimeout(connect, 500 + 1000 * Math.random())
}
form.onsubmit = () => { socket.send(form.text.value); form.reset(); return false }
connect()
</script>
"""


def page(req: Request) -> Response:
    return Response(headers={"content-type": "text/html; charset=utf-8"}, body=PAGE)


async def talk(req: Request, io: IO) -> None:
    name = req.query_params.get("as", "somebody")[:20]
    ws = await io.accept_websocket()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(listen, ws)
        async for text in ws:
            if isinstance(text, bytes):
                await ws.close(1003, "only text is understood")
                break
            messages.publish(json.dumps({"from": name, "text": text}))
        tasks.cancel_scope.cancel()


async def listen(ws: WebSocket) -> None:
    await ws.follow(messages, on_gap=lambda missed: json.dumps({"missed": missed}))


router = Router()
router.route("/", page, method="GET")
router.route("/ws", talk, method="GET")

app = Application(router, ws_max_size=1000)
