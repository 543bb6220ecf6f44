"""An API that speaks JSON: a list of things to do.

python -m httpng_asyncio examples/todo.py:router
curl -d '{"title":"write"}' http://127.0.0.1:3300/todos
curl http://127.0.0.1:3300/todos
curl -X PATCH -d '{"done":true}' http://127.0.0.1:3300/todos/1
curl -X DELETE http://127.0.0.1:3300/todos/1
"""

import json
from collections.abc import Callable
from itertools import count
from typing import Any

from httpng_asyncio import Request, Response, Router

Todo = dict[str, Any]

todos: dict[str, Todo] = {}
ids = count(1)


def answer(status: int, value: object) -> Response:
    return Response(status=status, headers={"content-type": "application/json"}, body=json.dumps(value))


def parsed(req: Request) -> Todo:
    """What the client sent; `ValueError` for what is no object."""
    given = json.loads(req.body)
    if not isinstance(given, dict):
        raise ValueError("not an object")
    return given


def with_todo(handle: Callable[[Request, Todo], Response]) -> Callable[[Request], Response]:
    """The todo that the path names is found once for all methods, and so is what is wrong with a body."""

    def handler(req: Request) -> Response:
        todo = todos.get(req.stash["id"])
        if todo is None:
            return answer(404, {"error": "no such todo"})
        try:
            return handle(req, todo)
        except ValueError as error:
            return answer(400, {"error": str(error)})

    return handler


def list_all(req: Request) -> Response:
    return answer(200, list(todos.values()))


def add(req: Request) -> Response:
    try:
        title = parsed(req).get("title")
    except ValueError as error:
        return answer(400, {"error": str(error)})
    if not isinstance(title, str):
        return answer(422, {"error": "title must be a string"})
    todo = {"id": next(ids), "title": title, "done": False}
    todos[str(todo["id"])] = todo
    return answer(201, todo)


def change(req: Request, todo: Todo) -> Response:
    todo["done"] = parsed(req).get("done") is True
    return answer(200, todo)


def remove(req: Request, todo: Todo) -> Response:
    del todos[str(todo["id"])]
    return Response(status=204)


router = Router()
router.route("/todos", list_all, method="GET")
router.route("/todos", add, method="POST")
router.route("/todos/:id", with_todo(change), method="PATCH")
router.route("/todos/:id", with_todo(remove), method="DELETE")
