//! What the handlers of both generations answer.

pub const HELLO: &str = "Hello, WASI!\n";
/// `/stream` answers so many pieces of so many bytes: 1 MiB.
pub const PIECES: usize = 16;
pub const PIECE: usize = 65536;
/// How long `/wait` takes.
pub const WAIT_NANOSECONDS: u64 = 10_000_000_000;

/// The document with the number of its members; nothing if it is none.
pub fn json(body: &[u8]) -> Option<Vec<u8>> {
    let mut document: serde_json::Value = serde_json::from_slice(body).ok()?;
    let members = document.as_object_mut()?;
    members.insert("members".into(), members.len().into());
    serde_json::to_vec(&document).ok()
}
