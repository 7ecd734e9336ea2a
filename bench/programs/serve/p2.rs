//! A handler for WASI 0.2.
use serve::*;
use wasip2::clocks::monotonic_clock;
use wasip2::http::types::*;
use wasip2::io::streams::{OutputStream, StreamError};

struct Handler;
wasip2::http::proxy::export!(Handler);

fn write(output: &OutputStream, mut bytes: &[u8]) -> Result<(), StreamError> {
    while !bytes.is_empty() {
        output.subscribe().block();
        let (now, later) = bytes.split_at(bytes.len().min(output.check_write()? as usize));
        output.write(now)?;
        bytes = later;
    }
    Ok(())
}

fn read(request: &IncomingRequest) -> Vec<u8> {
    let mut all = Vec::new();
    let incoming = request.consume().unwrap();
    let input = incoming.stream().unwrap();
    while let Ok(bytes) = input.blocking_read(65536) {
        all.extend(bytes);
    }
    all
}

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let mut status = 200;
        let mut pieces = 1;
        let answer = match request.path_with_query().as_deref() {
            Some("/") => HELLO.into(),
            Some("/json") => json(&read(&request)).unwrap_or_else(|| {
                status = 400;
                Vec::new()
            }),
            Some("/stream") => {
                pieces = PIECES;
                vec![b'x'; PIECE]
            }
            Some("/wait") => {
                monotonic_clock::subscribe_duration(WAIT_NANOSECONDS).block();
                HELLO.into()
            }
            _ => {
                status = 404;
                Vec::new()
            }
        };
        let response = OutgoingResponse::new(Fields::new());
        response.set_status_code(status).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().unwrap();
        for _ in 0..pieces {
            if write(&output, &answer).is_err() {
                return;
            }
        }
        drop(output);
        let _ = OutgoingBody::finish(body, None);
    }
}
