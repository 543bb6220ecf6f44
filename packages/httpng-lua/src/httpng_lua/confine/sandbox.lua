-- The sandbox: scripts see globals of their own, with what is named here and nothing else. What our files use can't
-- be reached from there, so neither can the host. Must run after the other files.

local host, core = ...

local getmetatable, setfenv, setupvalue = debug.getmetatable, setfenv, debug.setupvalue -- no setfenv in Lua 5.4
local error, load, next, pairs, rawset = error, load, next, pairs, rawset
local setmetatable, type = setmetatable, type

local FUNCTIONS = {
  'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'pcall', 'print', 'rawequal', 'rawget', 'rawlen',
  'select', 'setmetatable', 'tonumber', 'tostring', 'type', 'unpack', 'xpcall', '_VERSION',
}
local MODULES = { 'httpng', 'httpng.router', 'fiber', 'json', 'log' }
local LIBRARIES = { 'bit', 'coroutine', 'math', 'string', 'table', 'utf8' }

local function copy(from)
  local to = {}
  for name, value in pairs(from) do
    to[name] = value
  end
  return to
end

-- Modules -------------------------------------------------------------------------------------------

-- Proxies, and by the modules themselves the proxies of these.
local is_sealed, proxies = {}, {}

local function refuse()
  error('a module of the server is read-only in the sandbox', 2)
end

-- A module that a script can't change under the feet of the others.
local function seal(module)
  if proxies[module] then
    return proxies[module]
  end
  local fields = copy(module)
  for name, value in pairs(fields) do
    if type(value) == 'table' and not getmetatable(value) then
      fields[name] = seal(value)
    end
  end
  local proxy = setmetatable({}, {
    __index = fields,
    __newindex = refuse,
    __metatable = false,
    __pairs = function()
      return next, copy(fields)
    end,
  })
  is_sealed[proxy], proxies[module] = true, proxy
  return proxy
end

local env = {}
local loaded = {}

for _, name in pairs(MODULES) do
  loaded[name] = seal(package.preload[name]())
end

local LOADING = {}

local function run(name, source, path)
  local chunk, failure = load(source, '@' .. path, 't', env)
  if not chunk then
    error(failure, 0)
  end
  loaded[name] = LOADING
  local value = chunk(name, path)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == LOADING then
    loaded[name] = true
  end
  return loaded[name]
end

-- Our modules, and what lies beside the script.
function env.require(name)
  if type(name) ~= 'string' then
    error('name of a module must be a string, not ' .. type(name), 2)
  elseif loaded[name] == LOADING then
    error("module '" .. name .. "' requires itself, or failed before", 2)
  elseif loaded[name] ~= nil then
    return loaded[name]
  end
  local source, path = host.module(name)
  if not source then
    error("module '" .. name .. "' not found: in the sandbox there are ours, and those beside the script", 2)
  end
  return run(name, source, path)
end

-- Globals -------------------------------------------------------------------------------------------

for _, name in pairs(FUNCTIONS) do
  env[name] = _G[name]
end

for _, name in pairs(LIBRARIES) do
  env[name] = _G[name] and copy(_G[name])
end

env._G = env
env.box = seal(box)
env.string.dump = nil

function env.rawset(value, key, item)
  if is_sealed[value] then
    refuse()
  end
  return rawset(value, key, item)
end

-- Methods of strings are the library's, whatever becomes of the table; what a script adds there works too.
local strings = getmetatable('')
strings.__index = setmetatable(copy(env.string), { __index = env.string })
strings.__metatable = false

for _, metatable in pairs(core.metatables) do
  metatable.__metatable = false
end

-- Gives a script, as it was compiled, these globals.
function core.confine(script)
  if setfenv then
    setfenv(script, env)
  else
    setupvalue(script, 1, env)
  end
end
