// Answers with the request's body in capital letters.
use wasip2::http::types::*;

struct Handler;
wasip2::http::proxy::export!(Handler);

impl wasip2::exports::http::incoming_handler::Guest for Handler {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let path = request.path_with_query().unwrap_or_default();
        let fields = Fields::from_list(&[("x-path".to_string(), path.clone().into_bytes())]).unwrap();
        let response = OutgoingResponse::new(fields);
        response.set_status_code(if path == "/missing" { 404 } else { 200 }).unwrap();
        let body = response.body().unwrap();
        ResponseOutparam::set(out, Ok(response));
        let output = body.write().unwrap();
        let incoming = request.consume().unwrap();
        let input = incoming.stream().unwrap();
        while let Ok(bytes) = input.blocking_read(65536) {
            for part in bytes.to_ascii_uppercase().chunks(4096) {
                output.blocking_write_and_flush(part).unwrap();
            }
        }
        drop(output);
        OutgoingBody::finish(body, None).unwrap();
    }
}
