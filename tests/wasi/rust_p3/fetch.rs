//! Sends a request for each argument "METHOD AUTHORITY [BODY-SIZE]" by HTTPS, and tells in a line what
//! came of it: the answer, its body, its trailers, and whether the request was sent.
use futures::join;
use wasip3::cli::environment;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{wit_future, wit_stream};

wasip3::cli::command::export!(Fetch);

struct Fetch;

fn name(error: &ErrorCode) -> String {
    let text = format!("{error:?}");
    text.rsplit("::").next().unwrap().split('(').next().unwrap().to_string()
}

fn told<T>(result: Result<T, ErrorCode>) -> String {
    match result {
        Ok(_) => "ok".to_string(),
        Err(error) => name(&error),
    }
}

async fn receive(response: Response) -> String {
    let status = response.get_status_code();
    let (result_writer, result) = wit_future::new(|| Ok(()));
    drop(result_writer);
    let (mut contents, trailers) = Response::consume_body(response, result);
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
    format!("{status} read={length} trailers={}", told(trailers.await))
}

async fn fetch(spec: &str) -> String {
    let mut words = spec.split(' ');
    let method = words.next().unwrap();
    let authority = words.next().unwrap();
    let size: Option<usize> = words.next().map(|w| w.parse().unwrap());
    let (mut body, contents) = wit_stream::new();
    let (trailers_writer, trailers) = wit_future::new(|| Ok(None));
    drop(trailers_writer);
    let (request, sent) =
        Request::new(Fields::new(), size.map(|_| contents), trailers, None);
    request.set_method(&Method::Other(method.to_string())).unwrap();
    request.set_scheme(Some(&Scheme::Https)).unwrap();
    request.set_authority(Some(authority)).unwrap();
    request.set_path_with_query(Some("/")).unwrap();
    let (answer, rest, sent) = join!(
        async {
            match client::send(request).await {
                Ok(response) => receive(response).await,
                Err(error) => name(&error),
            }
        },
        async {
            let rest = match size {
                Some(size) => body.write_all(vec![b'x'; size]).await.len(),
                None => 0,
            };
            drop(body);
            rest
        },
        async { told(sent.await) },
    );
    let ended = if rest > 0 { " write-ended" } else { "" };
    format!("{answer} sent={sent}{ended}")
}

impl wasip3::exports::cli::run::Guest for Fetch {
    async fn run() -> Result<(), ()> {
        for spec in environment::get_arguments().iter().skip(1) {
            println!("{}", fetch(spec).await);
        }
        Ok(())
    }
}
