//! Gives up everything that may take its time, while it is under way. The ports are of servers
//! that do not accept a connection (FULL) and that do not answer (SILENT). What is left of it,
//! sees whoever looks at the process after a line.
use std::future::Future;

use wasip3::cli::{environment, stdin};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::types::{Fields, Request, Scheme};
use wasip3::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::StreamResult;
use wasip3::{wit_future, wit_stream};

wasip3::cli::command::export!(Command);

struct Command;

const MS: u64 = 1_000_000;

/// Drops `f`, which must be under way yet after a moment.
async fn give_up<F: Future>(f: F) {
    let wait = wait_for(5 * MS);
    futures::pin_mut!(f, wait);
    match futures::future::select(f, wait).await {
        futures::future::Either::Right(_) => {}
        futures::future::Either::Left(_) => panic!("it was not under way"),
    }
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

fn port(name: &str) -> u16 {
    let all = environment::get_environment();
    all.iter().find(|(n, _)| n == name).unwrap().1.parse().unwrap()
}

async fn say(line: &str) {
    println!("{line}");
    wait_for(300 * MS).await;
}

async fn waits() {
    for _ in 0..50 {
        give_up(wait_for(3_600_000 * MS)).await;
    }
}

/// Its socket is there still, and connects no more.
async fn connects() {
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let socket = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
        give_up(socket.connect(local(port("FULL")))).await;
        assert!(socket.connect(local(port("FULL"))).await.is_err());
        sockets.push(socket);
    }
    say("connects").await;
}

async fn requests() {
    for _ in 0..5 {
        let (mut writer, contents) = wit_stream::new();
        let (_, trailers) = wit_future::new(|| Ok(None));
        let (request, sent) = Request::new(Fields::new(), Some(contents), trailers, None);
        request.set_scheme(Some(&Scheme::Http)).unwrap();
        request.set_authority(Some(&format!("127.0.0.1:{}", port("SILENT")))).unwrap();
        give_up(async {
            futures::join!(wasip3::http::client::send(request), async {
                assert!(writer.write_all(vec![b'x'; 1000]).await.is_empty());
            })
            .0
        })
        .await;
        // Nobody takes the rest, and it is known to be lost.
        assert!(!writer.write_all(vec![b'x'; 1 << 20]).await.is_empty());
        assert!(sent.await.is_err());
    }
    say("requests").await;
}

async fn streams() {
    let server = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
    server.bind(local(0)).unwrap();
    let mut connections = server.listen().unwrap();
    // Accepting: what comes later is not lost.
    give_up(connections.next()).await;
    let client = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
    client.connect(server.get_local_address().unwrap()).await.unwrap();
    let connection = connections.next().await.unwrap();
    // Reading; cancelled while the descriptor is waited for, and again.
    let (mut incoming, received) = client.receive();
    for _ in 0..20 {
        give_up(incoming.read(Vec::with_capacity(10))).await;
    }
    // Writing, to somebody who does not read.
    let (mut writer, reader) = wit_stream::new();
    let sent = connection.send(reader);
    give_up(writer.write_all(vec![7u8; 64 << 20])).await;
    let (status, bytes) = incoming.read(Vec::with_capacity(10)).await;
    assert!(matches!(status, StreamResult::Complete(10)), "{status:?}");
    assert_eq!(bytes, [7; 10]);
    drop(incoming);
    received.await.unwrap();
    drop(writer);
    drop(sent);
    let udp = UdpSocket::create(IpAddressFamily::Ipv4).unwrap();
    udp.bind(local(0)).unwrap();
    for _ in 0..20 {
        give_up(udp.receive()).await;
    }
    // Input that does not come.
    for _ in 0..5 {
        let (mut input, result) = stdin::read_via_stream();
        give_up(input.read(Vec::with_capacity(10))).await;
        drop(input);
        result.await.unwrap();
    }
}

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        wait_for(MS).await;
        waits().await;
        streams().await;
        say("begin").await;
        connects().await;
        requests().await;
        waits().await;
        streams().await;
        say("end").await;
        Ok(())
    }
}
