//! Sends requests on to the service behind it, and adds a header to its responses; their bodies
//! pass by.
wit_bindgen::generate!({
    inline: "package test:middleware; world middleware { include wasi:http/middleware@0.3.2; }",
    path: "wit",
    world: "test:middleware/middleware",
    generate_all,
});

use exports::wasi::http::handler::Guest;
use wasi::http::handler;
use wasi::http::types::{ErrorCode, Fields, Request, Response};

struct Middleware;
export!(Middleware);

impl Guest for Middleware {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let response = handler::handle(request).await?;
        let headers = Fields::from_list(&response.get_headers().copy_all()).unwrap();
        headers.append("x-by", b"middleware").unwrap();
        let status = response.get_status_code();
        let (_, result) = wit_future::new(|| Ok(()));
        let (contents, trailers) = Response::consume_body(response, result);
        let (response, _sent) = Response::new(headers, Some(contents), trailers);
        response.set_status_code(status).unwrap();
        Ok(response)
    }
}
