-- wrk: a header of each request is another, so that no server can know the header block from the last one.
--
-- Requests are made beforehand, and there are enough that none comes twice on a connection within a second: made one by
-- one they hold wrk up, and a server that has to wait for its load pays a trip through its loop for each request.

local requests, number = {}, 0

function init()
  for index = 1, 8192 do
    requests[index] = ('GET %s HTTP/1.1\r\nHost: %s:%s\r\nX-Request-Id: %016d\r\n\r\n'):format(
      wrk.path, wrk.host, wrk.port, index)
  end
end

function request()
  number = number % #requests + 1
  return requests[number]
end
