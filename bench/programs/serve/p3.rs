//! A service for WASI 0.3.
use serve::*;
use wasip3::clocks::monotonic_clock;
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{wit_bindgen, wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

fn respond(status: u16, piece: Vec<u8>, pieces: usize) -> Response {
    let (mut body, contents) = wit_stream::new();
    let (_, trailers) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(Fields::new(), Some(contents), trailers);
    response.set_status_code(status).unwrap();
    wit_bindgen::spawn_local(async move {
        let mut next = piece;
        for i in 1..=pieces {
            let again = if i < pieces { next.clone() } else { Vec::new() };
            if !body.write_all(next).await.is_empty() {
                break;
            }
            next = again;
        }
    });
    response
}

async fn read(request: Request) -> Vec<u8> {
    let (_, result) = wit_future::new(|| Ok(()));
    let (mut contents, _trailers) = Request::consume_body(request, result);
    let mut all = Vec::with_capacity(4096);
    loop {
        all.reserve(4096);
        let (result, read) = contents.read(all).await;
        all = read;
        if result == StreamResult::Dropped {
            return all;
        }
    }
}

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        Ok(match request.get_path_with_query().as_deref() {
            Some("/") => respond(200, HELLO.into(), 1),
            Some("/json") => match json(&read(request).await) {
                Some(answer) => respond(200, answer, 1),
                None => respond(400, Vec::new(), 0),
            },
            Some("/stream") => respond(200, vec![b'x'; PIECE], PIECES),
            Some("/wait") => {
                monotonic_clock::wait_for(WAIT_NANOSECONDS).await;
                respond(200, HELLO.into(), 1)
            }
            _ => respond(404, Vec::new(), 0),
        })
    }
}
