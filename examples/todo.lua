-- An API that speaks JSON: a list of things to do.
--
--   python -m httpng_asyncio examples/todo.lua
--   curl -d '{"title":"write"}' http://127.0.0.1:3300/todos
--   curl http://127.0.0.1:3300/todos
--   curl -X PATCH -d '{"done":true}' http://127.0.0.1:3300/todos/1
--   curl -X DELETE http://127.0.0.1:3300/todos/1

local httpng = require 'httpng'
local json = require 'json'

local todos, last = {}, 0

local function answer(status, value)
  return {status = status, headers = {['content-type'] = 'application/json'}, body = json.encode(value)}
end

-- What the client sent, a table; what is wrong with it otherwise.
local function parsed(req)
  local ok, given = pcall(json.decode, req.body)
  if not ok then return nil, given end
  if type(given) ~= 'table' then return nil, 'not an object' end
  return given
end

-- The todo that the path names is found once for all methods.
local function with_todo(handle)
  return function(req)
    local todo = todos[tonumber(req:stash('id'))]
    return todo and handle(req, todo) or answer(404, {error = 'no such todo'})
  end
end

local function list()
  local all = {}
  for _, todo in pairs(todos) do all[#all + 1] = todo end
  table.sort(all, function(a, b) return a.id < b.id end)
  return answer(200, all)
end

local function add(req)
  local given, wrong = parsed(req)
  if not given then return answer(400, {error = wrong}) end
  if type(given.title) ~= 'string' then return answer(422, {error = 'title must be a string'}) end
  last = last + 1
  todos[last] = {id = last, title = given.title, done = false}
  return answer(201, todos[last])
end

local function change(req, todo)
  local given, wrong = parsed(req)
  if not given then return answer(400, {error = wrong}) end
  todo.done = given.done == true
  return answer(200, todo)
end

local function remove(_, todo)
  todos[todo.id] = nil
  return {status = 204}
end

local router = httpng.router.new()
router:route({path = '/todos', method = 'GET'}, list)
router:route({path = '/todos', method = 'POST'}, add)
router:route({path = '/todos/:id', method = 'PATCH'}, with_todo(change))
router:route({path = '/todos/:id', method = 'DELETE'}, with_todo(remove))
httpng.cfg{handler = router, listen = '127.0.0.1:3300'}
