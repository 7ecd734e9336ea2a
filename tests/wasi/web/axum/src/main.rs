//! A web service on axum. hono/service.js is the same one in JavaScript.
use std::convert::Infallible;

use axum::body::Body;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use serde::{Deserialize, Serialize};
use wstd::http::{Body as Outgoing, Client, Request};
use wstd::time::{Duration, Timer};

const PAGE: &str = include_str!("../../page.html");
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
/// Events in all, and of one answer.
const EVENTS: u32 = 6;
const AT_ONCE: u32 = 3;

#[derive(Serialize, Deserialize)]
struct Numbers {
    values: Vec<i64>,
    #[serde(default)]
    sum: i64,
}

#[derive(Serialize)]
struct User {
    id: u32,
    name: String,
}

#[derive(Serialize, Default)]
struct Upload {
    bytes: u64,
    sum: u64,
}

#[derive(Deserialize)]
struct Source {
    url: String,
}

async fn sum(Json(mut numbers): Json<Numbers>) -> Json<Numbers> {
    numbers.sum = numbers.values.iter().sum();
    Json(numbers)
}

async fn user(Path(id): Path<u32>) -> Json<User> {
    Json(User { id, name: format!("user {id}") })
}

async fn upload(body: Body) -> Result<Json<Upload>, StatusCode> {
    let mut upload = Upload::default();
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| StatusCode::BAD_REQUEST)?;
        upload.bytes += part.len() as u64;
        upload.sum += part.iter().map(|&b| u64::from(b)).sum::<u64>();
    }
    Ok(Json(upload))
}

async fn relay(Query(source): Query<Source>) -> impl IntoResponse {
    let Ok(request) = Request::get(source.url).body(Outgoing::empty()) else {
        return (StatusCode::BAD_REQUEST, "no such address".to_string());
    };
    match Client::new().send(request).await {
        Ok(mut answer) => {
            let status = answer.status().as_u16();
            let text = answer.body_mut().str_contents().await.unwrap_or("no text").to_string();
            (StatusCode::OK, format!("{status} {text}"))
        }
        Err(_) => (StatusCode::BAD_GATEWAY, "nobody answers".to_string()),
    }
}

/// The events after the one that the client has seen.
async fn events(headers: HeaderMap) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let seen = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<u32>().ok());
    let first = seen.map_or(1, |id| id.saturating_add(1));
    Sse::new(stream::unfold(first, move |n| async move {
        if n - first == AT_ONCE {
            return None;
        }
        Timer::after(Duration::from(PAUSE)).wait().await;
        let event = Event::default().id(n.to_string()).retry(PAUSE);
        let event = if n > EVENTS { event.event("end").data("all") } else { event.data(format!("event {n}")) };
        Some((Ok(event), n + 1))
    }))
}

#[wstd_axum::http_server]
fn main() -> Router {
    Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/sum", post(sum))
        .route("/users/{id}", get(user))
        .route("/upload", post(upload))
        .route("/echo", post(|body: Body| async { body }))
        .route("/relay", get(relay))
        .route("/events", get(events))
}
