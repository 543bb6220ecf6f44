-- wrk: a header of each request is another, so that no server can know the header block from the last one.

local number = 0

function request()
  number = number + 1
  return ('GET %s HTTP/1.1\r\nHost: %s:%s\r\nX-Request-Id: %016d\r\n\r\n'):format(
    wrk.path, wrk.host, wrk.port, number)
end
