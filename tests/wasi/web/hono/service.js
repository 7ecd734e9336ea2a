// A web service on Hono. axum/src/main.rs is the same one in Rust.
import { Hono } from 'hono';
import { streamSSE } from 'hono/streaming';
import { validator } from 'hono/validator';
import page from '../page.html';

const PAUSE = 200;
// Events in all, and of one answer.
const EVENTS = 6;
const AT_ONCE = 3;

const app = new Hono();

app.get('/', (c) => c.html(page));

const numbers = validator('json', (value, c) => {
  const whole = Array.isArray(value.values) && value.values.every(Number.isInteger);
  return whole ? value : c.text('values: whole numbers', 422);
});
app.post('/sum', numbers, (c) => {
  const { values } = c.req.valid('json');
  return c.json({ values, sum: values.reduce((a, b) => a + b, 0) });
});

app.get('/users/:id{[0-9]+}', (c) => {
  const id = Number(c.req.param('id'));
  return c.json({ id, name: `user ${id}` });
});

app.post('/upload', async (c) => {
  const upload = { bytes: 0, sum: 0 };
  const reader = c.req.raw.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    upload.bytes += part.value.length;
    upload.sum = part.value.reduce((a, b) => a + b, upload.sum);
  }
  return c.json(upload);
});

app.post('/echo', (c) => new Response(c.req.raw.body));

app.get('/relay', async (c) => {
  try {
    const answer = await fetch(c.req.query('url'));
    return c.text(`${answer.status} ${await answer.text()}`);
  } catch {
    return c.text('nobody answers', 502);
  }
});

// The events after the one that the client has seen.
app.get('/events', (c) => streamSSE(c, async (stream) => {
  const first = Number(c.req.header('last-event-id') ?? 0) + 1;
  for (let n = first; n < first + AT_ONCE; n++) {
    await stream.sleep(PAUSE);
    const event = n > EVENTS ? { event: 'end', data: 'all' } : { data: `event ${n}` };
    await stream.writeSSE({ id: String(n), retry: PAUSE, ...event });
  }
}));

// A path that there is, by another method.
for (const [path, allow] of Object.entries({ '/': 'GET,HEAD', '/sum': 'POST', '/events': 'GET,HEAD' })) {
  app.all(path, (c) => c.text('', 405, { allow }));
}

addEventListener('fetch', (event) => event.respondWith(app.fetch(event.request)));
