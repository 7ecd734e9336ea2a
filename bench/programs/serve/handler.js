// A handler for WASI 0.2 in JavaScript.
const hello = 'Hello, WASI!\n';
const piece = new Uint8Array(65536).fill(120);
const pieces = 16;

async function answer(request) {
  switch (new URL(request.url).pathname) {
    case '/':
      return new Response(hello);
    case '/json': {
      const document = await request.json();
      document.members = Object.keys(document).length;
      return new Response(JSON.stringify(document));
    }
    case '/stream': {
      let i = 0;
      const pull = (c) => (i++ < pieces ? c.enqueue(piece.slice()) : c.close());
      return new Response(new ReadableStream({ pull }));
    }
    default:
      return new Response('', { status: 404 });
  }
}

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));
