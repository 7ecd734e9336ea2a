//! Files, sockets, names, clocks, randomness and streams; says what went wrong by a panic, and
//! writes lines through both generations of WASI.
use futures::join;
use wasip3::cli::{environment, stdout};
use wasip3::clocks::{monotonic_clock, system_clock};
use wasip3::filesystem::preopens;
use wasip3::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode as FileError, NewTimestamp, OpenFlags,
    PathFlags,
};
use wasip3::sockets::ip_name_lookup;
use wasip3::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, TcpSocket, UdpSocket,
};
use wasip3::wit_bindgen::StreamResult;
use wasip3::wit_stream;

wasip3::cli::command::export!(Command);

struct Command;

const NONE: PathFlags = PathFlags::empty();

async fn say(line: &str) {
    let (mut writer, reader) = wit_stream::new();
    let (result, rest) = join!(
        async { stdout::write_via_stream(reader).await },
        async {
            let rest = writer.write_all(format!("{line}\n").into_bytes()).await;
            drop(writer);
            rest
        }
    );
    result.unwrap();
    assert!(rest.is_empty());
}

async fn files(dir: &Descriptor) {
    dir.create_directory_at("new".into()).await.unwrap();
    let both = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = dir
        .open_at(NONE, "new/file".into(), OpenFlags::CREATE | OpenFlags::EXCLUSIVE, both)
        .await
        .unwrap();
    // More than any buffer holds, in and out.
    let data: Vec<u8> = (0..1_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let (mut writer, reader) = wit_stream::new();
    let (written, rest) = join!(async { file.write_via_stream(reader, 3).await }, async {
        let rest = writer.write_all(data.clone()).await;
        drop(writer);
        rest
    });
    written.unwrap();
    assert!(rest.is_empty());
    let stat = file.stat().await.unwrap();
    assert_eq!(stat.size, 1_000_003);
    assert!(matches!(stat.type_, DescriptorType::RegularFile));
    let (reader, result) = file.read_via_stream(3);
    assert_eq!(reader.collect().await, data);
    result.await.unwrap();
    // Dropped in the middle.
    let (mut reader, result) = file.read_via_stream(0);
    let (status, bytes) = reader.read(Vec::with_capacity(4)).await;
    assert_eq!((status, bytes), (StreamResult::Complete(4), vec![0, 0, 0, data[0]]));
    drop(reader);
    result.await.unwrap();
    // What cannot be read or written says so by its result.
    let read_only = dir
        .open_at(NONE, "new/file".into(), OpenFlags::empty(), DescriptorFlags::READ)
        .await
        .unwrap();
    let (mut writer, reader) = wit_stream::new();
    let result = read_only.append_via_stream(reader);
    assert!(!writer.write_all(vec![1]).await.is_empty());
    assert!(matches!(result.await, Err(FileError::BadDescriptor)));
    let (reader, result) = dir.read_via_stream(0);
    assert!(reader.collect().await.is_empty());
    assert!(matches!(result.await, Err(FileError::IsDirectory)));
    file.set_times(NewTimestamp::NoChange, NewTimestamp::Now).await.unwrap();
    file.set_size(10).await.unwrap();
    for i in 0..2000 {
        dir.open_at(NONE, format!("new/{i:04}"), OpenFlags::CREATE, DescriptorFlags::WRITE)
            .await
            .unwrap();
    }
    let inner = dir
        .open_at(NONE, "new".into(), OpenFlags::DIRECTORY, DescriptorFlags::READ)
        .await
        .unwrap();
    let (entries, result) = inner.read_directory();
    let mut names: Vec<String> = entries.collect().await.into_iter().map(|e| e.name).collect();
    result.await.unwrap();
    names.sort();
    assert_eq!(names.len(), 2001);
    assert_eq!(names[1999], "1999");
    for name in names {
        inner.unlink_file_at(name).await.unwrap();
    }
    assert!(matches!(
        inner.open_at(NONE, "../x".into(), OpenFlags::CREATE, both).await,
        Err(FileError::NotPermitted)
    ));
    dir.remove_directory_at("new".into()).await.unwrap();
    say("files").await;
}

fn local(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address: (127, 0, 0, 1) })
}

async fn tcp() {
    let server = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
    server.bind(local(0)).unwrap();
    let mut connections = server.listen().unwrap();
    let address = server.get_local_address().unwrap();
    let client = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
    // Much more than the system buffers, so that each side waits for the other.
    let data: Vec<u8> = (0..3_000_000u32).map(|i| (i % 241) as u8).collect();
    join!(
        async {
            // Answers with what it gets: a stream of the host goes back to the host.
            let connection = connections.next().await.unwrap();
            let (incoming, received) = connection.receive();
            let sent = connection.send(incoming);
            sent.await.unwrap();
            received.await.unwrap();
        },
        async {
            client.connect(address).await.unwrap();
            let (mut writer, reader) = wit_stream::new();
            let sent = client.send(reader);
            let (incoming, received) = client.receive();
            let (_, back) = join!(
                async {
                    assert!(writer.write_all(data.clone()).await.is_empty());
                    drop(writer);
                },
                incoming.collect()
            );
            assert!(back == data);
            sent.await.unwrap();
            received.await.unwrap();
        }
    );
    say("tcp").await;
}

async fn udp() {
    let a = UdpSocket::create(IpAddressFamily::Ipv4).unwrap();
    a.bind(local(0)).unwrap();
    let b = UdpSocket::create(IpAddressFamily::Ipv4).unwrap();
    b.bind(local(0)).unwrap();
    let (to_a, to_b) = (a.get_local_address().unwrap(), b.get_local_address().unwrap());
    // Received before it is sent.
    let (received, _) = join!(b.receive(), async {
        monotonic_clock::wait_for(5_000_000).await;
        a.send(b"ping".to_vec(), Some(to_b)).await.unwrap();
    });
    let (data, from) = received.unwrap();
    assert_eq!(data, b"ping");
    assert_eq!(format!("{from:?}"), format!("{to_a:?}"));
    b.connect(to_a).unwrap();
    b.send(b"pong".to_vec(), None).await.unwrap();
    assert_eq!(a.receive().await.unwrap().0, b"pong");
    // A receive that is given up loses nothing.
    {
        let receive = a.receive();
        let wait = monotonic_clock::wait_for(1_000_000);
        futures::pin_mut!(receive, wait);
        match futures::future::select(receive, wait).await {
            futures::future::Either::Right(_) => {}
            _ => panic!("nothing was sent"),
        }
    }
    b.send(b"again".to_vec(), None).await.unwrap();
    assert_eq!(a.receive().await.unwrap().0, b"again");
    say("udp").await;
}

async fn denied() {
    let socket = TcpSocket::create(IpAddressFamily::Ipv4).unwrap();
    assert!(matches!(socket.bind(local(0)), Err(ErrorCode::AccessDenied)));
    assert!(matches!(socket.listen(), Err(ErrorCode::AccessDenied)));
    assert!(matches!(socket.connect(local(9)).await, Err(ErrorCode::AccessDenied)));
    let socket = UdpSocket::create(IpAddressFamily::Ipv4).unwrap();
    assert!(matches!(
        socket.send(vec![1], Some(local(9))).await,
        Err(ErrorCode::AccessDenied)
    ));
    assert!(matches!(
        ip_name_lookup::resolve_addresses("localhost".into()).await,
        Err(ip_name_lookup::ErrorCode::AccessDenied)
    ));
    say("denied").await;
}

async fn names() {
    let found = ip_name_lookup::resolve_addresses("localhost".into()).await.unwrap();
    assert!(found.iter().any(|a| matches!(
        a,
        IpAddress::Ipv4((127, 0, 0, 1)) | IpAddress::Ipv6((0, 0, 0, 0, 0, 0, 0, 1))
    )));
    assert!(matches!(
        ip_name_lookup::resolve_addresses("..".into()).await,
        Err(ip_name_lookup::ErrorCode::InvalidArgument)
    ));
    // A lookup that nobody waits for any more is over at once: more than may be under way.
    for _ in 0..100 {
        let lookup = std::pin::pin!(ip_name_lookup::resolve_addresses("localhost".into()));
        let first = futures::future::select(lookup, std::future::ready(())).await;
        assert!(matches!(first, futures::future::Either::Right(_)));
    }
    say("names").await;
}

async fn clocks() {
    let before = monotonic_clock::now();
    join!(
        monotonic_clock::wait_for(20_000_000),
        monotonic_clock::wait_for(10_000_000),
        monotonic_clock::wait_until(before + 15_000_000),
    );
    let took = monotonic_clock::now() - before;
    assert!((20_000_000..2_000_000_000).contains(&took), "{took}");
    assert!(system_clock::now().seconds > 1_700_000_000);
    assert!(system_clock::get_resolution() > 0);
    say("clocks").await;
}

impl wasip3::exports::cli::run::Guest for Command {
    async fn run() -> Result<(), ()> {
        println!("{}", environment::get_arguments()[1..].join(" "));
        clocks().await;
        assert_eq!(wasip3::random::random::get_random_bytes(1000).len(), 1000);
        if environment::get_environment().iter().any(|(name, _)| name == "DENIED") {
            denied().await;
            return Err(());
        }
        files(&preopens::get_directories()[0].0).await;
        tcp().await;
        udp().await;
        names().await;
        Ok(())
    }
}
