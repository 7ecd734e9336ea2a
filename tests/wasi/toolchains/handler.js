async function answer(request) {
  const url = new URL(request.url);
  switch (url.pathname) {
    case '/sum': {
      const body = await request.json();
      body.sum = body.values.reduce((a, b) => a + b, 0);
      return new Response(JSON.stringify(body), { headers: { 'x-kind': 'sum' } });
    }
    case '/parts': {
      let i = 0;
      const pull = (c) => (i < 5 ? c.enqueue(new TextEncoder().encode(`part ${i++}\n`)) : c.close());
      return new Response(new ReadableStream({ pull }));
    }
    default:
      return new Response(`no ${url.pathname} for ${request.method}`, { status: 404 });
  }
}

addEventListener('fetch', (event) => event.respondWith(answer(event.request)));
