-- TLS for two names at one port, and the plain port that sends clients there.
--
--   for name in one two; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
--     -subj /CN=$name.test -addext subjectAltName=DNS:$name.test -keyout $name.key -out $name.pem; done
--   python -m httpng_asyncio examples/names.lua
--   curl --cacert one.pem --resolve one.test:3443:127.0.0.1 https://one.test:3443/
--   curl -i -H 'Host: two.test' http://127.0.0.1:3380/path
--
-- CERTIFICATES names the directory of these files, TLS_PORT and PLAIN_PORT other ports than 3443 and 3380. Send
-- SIGHUP after you have replaced the files. uses_sni needs httpng-core[tls].

local httpng = require 'httpng'

local directory = os.getenv('CERTIFICATES') or '.'
local tls_port = tonumber(os.getenv('TLS_PORT')) or 3443
local plain_port = tonumber(os.getenv('PLAIN_PORT')) or 3380

local function pair(name)
  return {certificate_file = directory .. '/' .. name .. '.pem', certificate_key_file = directory .. '/' .. name .. '.key'}
end

local TEXTS = {['one.test'] = 'this is the first\n', ['two.test'] = 'this is the second\n'}

local function handler(req)
  if not req.https then
    return {status = 308, headers = {location = ('https://%s:%d%s'):format(req.host, tls_port, req.path)}}
  end
  return TEXTS[req.host] or {status = 421, body = 'not here\n'} -- a connection may be used for another name
end

httpng.cfg{
  handler = handler,
  min_proto_version = 'tls1.2',
  listen = {
    {addr = '127.0.0.1', port = tls_port, uses_sni = true, tls = {pair('one'), pair('two')}},
    {addr = '127.0.0.1', port = plain_port},
  },
}
