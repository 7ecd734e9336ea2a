// The same by node's http: node.mjs HOST PORT
import http from 'node:http';

const piece = Buffer.alloc(65536, 'x');
const routes = {
  '/': (request, response) => response.end('Hello, WASI!\n'),
  '/json': async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const document = JSON.parse(Buffer.concat(parts).toString());
    document.members = Object.keys(document).length;
    response.end(JSON.stringify(document));
  },
  '/stream': async (request, response) => {
    for (let i = 0; i < 16; ++i) {
      if (!response.write(piece)) await new Promise((go) => response.once('drain', go));
    }
    response.end();
  },
};
http.createServer((request, response) => {
  const route = routes[request.url];
  if (route) return route(request, response);
  response.statusCode = 404;
  response.end();
}).listen(Number(process.argv[3]), process.argv[2]);
