//! Answers requests in all the ways that serve_p3_test.py asks for.
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{wit_bindgen, wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

static REQUESTS: AtomicU32 = AtomicU32::new(0);
static ACTIVE: AtomicU32 = AtomicU32::new(0);
static MOST_ACTIVE: AtomicU32 = AtomicU32::new(0);
static SENT: AtomicU32 = AtomicU32::new(0);
static NOT_SENT: AtomicU32 = AtomicU32::new(0);

struct Active;
impl Active {
    fn new() -> Active {
        MOST_ACTIVE.fetch_max(ACTIVE.fetch_add(1, Relaxed) + 1, Relaxed);
        Active
    }
}
impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Relaxed);
    }
}

/// A response whose body is written by and by.
fn respond(status: u16, headers: &[(&str, &str)], pieces: Vec<Vec<u8>>) -> Response {
    let fields = Fields::new();
    for (name, value) in headers {
        fields.append(name, value.as_bytes()).unwrap();
    }
    let (mut body, contents) = wit_stream::new();
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    let (response, sent) = Response::new(fields, Some(contents), trailers);
    drop(trailers_writer);
    response.set_status_code(status).unwrap();
    wit_bindgen::spawn_local(async move {
        for piece in pieces {
            if !body.write_all(piece).await.is_empty() {
                break;
            }
        }
        drop(body);
        match sent.await {
            Ok(()) => SENT.fetch_add(1, Relaxed),
            Err(_) => NOT_SENT.fetch_add(1, Relaxed),
        };
    });
    response
}

fn text(status: u16, body: String) -> Response {
    respond(status, &[("content-type", "text/plain")], vec![body.into_bytes()])
}

/// The request's body and trailers as those of the response, which no byte of comes by here.
fn echo(request: Request) -> Response {
    let (_, result) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, result);
    Response::new(Fields::new(), Some(contents), trailers).0
}

async fn length(request: Request) -> Response {
    let (_, result) = wit_future::new(|| Ok(()));
    let (mut contents, trailers) = Request::consume_body(request, result);
    let mut length = 0;
    let mut buffer = Vec::with_capacity(65536);
    loop {
        let (result, read) = contents.read(buffer).await;
        length += read.len();
        buffer = read;
        buffer.clear();
        if result == StreamResult::Dropped {
            break;
        }
    }
    drop(contents);
    let trailers = match trailers.await {
        Ok(Some(fields)) => fields.copy_all().len(),
        Ok(None) => 0,
        Err(e) => return text(400, format!("{e:?}")),
    };
    text(200, format!("{length} bytes, {trailers} trailers"))
}

fn broken() -> Response {
    let (mut body, contents) = wit_stream::new();
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(b"begun".to_vec()).await;
        drop(body);
        let _ = trailers_writer.write(Err(ErrorCode::InternalError(None))).await;
    });
    response
}

async fn with_trailers() -> Response {
    let (mut body, contents) = wit_stream::new();
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
    wit_bindgen::spawn_local(async move {
        body.write_all(b"body".to_vec()).await;
        drop(body);
        let fields = Fields::from_list(&[("x-sum".to_string(), b"4".to_vec())]).unwrap();
        let _ = trailers_writer.write(Ok(Some(fields))).await;
    });
    response
}

/// Sends the request on to where its header says, and what comes of it back.
async fn forward(request: Request, to: String) -> Result<Response, ErrorCode> {
    let headers = Fields::new();
    let method = request.get_method();
    let (_, result) = wit_future::new(|| Ok(()));
    let (contents, trailers) = Request::consume_body(request, result);
    let (out, _sent) = Request::new(headers, Some(contents), trailers, None);
    let (authority, path) = to.split_once('/').unwrap();
    out.set_method(&method).unwrap();
    out.set_scheme(Some(&Scheme::Http)).unwrap();
    out.set_authority(Some(authority)).unwrap();
    out.set_path_with_query(Some(&format!("/{path}"))).unwrap();
    wasip3::http::client::send(out).await
}

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let number = REQUESTS.fetch_add(1, Relaxed) + 1;
        let _active = Active::new();
        let path = request.get_path_with_query().unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let value: u64 = query.parse().unwrap_or(0);
        Ok(match path {
            "/hello" => text(200, "Hello, WASI!".to_string()),
            "/empty" => {
                let (_, trailers) = wit_future::new(|| Ok(None));
                Response::new(Fields::new(), None, trailers).0
            }
            "/count" => text(200, number.to_string()),
            "/active" => text(200, ACTIVE.load(Relaxed).to_string()),
            "/most" => text(200, MOST_ACTIVE.load(Relaxed).to_string()),
            "/sent" => text(200, format!("{} {}", SENT.load(Relaxed), NOT_SENT.load(Relaxed))),
            "/sleep" => {
                monotonic_clock::wait_for(value * 1_000_000).await;
                text(200, number.to_string())
            }
            "/echo" => echo(request),
            "/length" => length(request).await,
            "/stream" => {
                respond(200, &[], vec![vec![b'x'; 65536]; value as usize])
            }
            "/short" => respond(200, &[("content-length", "10")], vec![b"abc".to_vec()]),
            // Tells of contents, and has none.
            "/told" => {
                let fields = Fields::new();
                fields.append("content-length", b"10").unwrap();
                let (_, trailers) = wit_future::new(|| Ok(None));
                let (response, sent) = Response::new(fields, None, trailers);
                wit_bindgen::spawn_local(async move {
                    match sent.await {
                        Ok(()) => SENT.fetch_add(1, Relaxed),
                        Err(_) => NOT_SENT.fetch_add(1, Relaxed),
                    };
                });
                response
            }
            "/long" => respond(200, &[("content-length", "2")], vec![b"abc".to_vec()]),
            "/broken" => broken(),
            "/trailers" => with_trailers().await,
            "/forward" => {
                let to = request.get_headers().get("x-to").concat();
                return forward(request, String::from_utf8(to).unwrap()).await;
            }
            "/about" => {
                let (_, result) = wit_future::new(|| Ok(()));
                let method = match request.get_method() {
                    Method::Get => "GET".to_string(),
                    other => format!("{other:?}"),
                };
                let authority = request.get_authority();
                let scheme = request.get_scheme().is_some();
                let host = request.get_headers().has("host");
                drop(Request::consume_body(request, result));
                text(200, format!("{method} {authority:?} {scheme} {host}"))
            }
            "/error" => return Err(ErrorCode::LoopDetected),
            "/trap" => panic!("as it was asked for"),
            "/spin" => loop {
                std::hint::black_box(());
            },
            "/hang" => {
                monotonic_clock::wait_for(3_600_000_000_000).await;
                text(200, "late".to_string())
            }
            _ => text(404, String::new()),
        })
    }
}
