// The ticks of fanout_apps.py from Node: node fanout_node.js PORT

const http = require('http');

const TICK = 200;
const PERIOD = Number(process.env.FANOUT_FOLLOWERS) / 20;  // milliseconds
const responses = new Set();

function publish(number, due) {
  const tick = `data: ${number} `.padEnd(TICK - 2, '.') + '\n\n';
  for (const response of responses) {
    if (!response.writableNeedDrain) response.write(tick, 'latin1');
  }
  const now = performance.now();
  due = Math.max(due + PERIOD, now);
  setTimeout(publish, due - now, number + 1, due);
}

const server = http.createServer((request, response) => {
  response.writeHead(200, {'content-type': 'text/event-stream'});
  responses.add(response);
  response.on('close', () => responses.delete(response));
});
server.listen({port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096});
publish(1, performance.now());
