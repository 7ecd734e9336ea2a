// What the standard library of Rust asks of WASI 0.2.
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

fn files() -> std::io::Result<()> {
    std::fs::File::create("/data/x.txt")?.write_all(b"in a file")?;
    println!("{}", std::fs::read_to_string("/data/x.txt")?);
    std::fs::create_dir_all("/data/a/b")?;
    std::fs::rename("/data/x.txt", "/data/a/b/y.txt")?;
    for entry in std::fs::read_dir("/data/a/b")? {
        let entry = entry?;
        println!("{} {}", entry.path().display(), entry.metadata()?.len());
    }
    std::fs::remove_dir_all("/data/a")?;
    println!("{:?}", std::fs::read_to_string("/data/../secret").map_err(|e| e.kind()));
    Ok(())
}

fn network() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"ping")?;
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes)?;
    println!("tcp {}", std::str::from_utf8(&bytes).unwrap());
    let (one, other) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    one.send_to(b"pong", other.local_addr()?)?;
    println!("udp {} {}", other.recv(&mut bytes)?, std::str::from_utf8(&bytes).unwrap());
    println!("names {}", "localhost:80".to_socket_addrs()?.count() > 0);
    Ok(())
}

fn main() {
    println!("{:?} {:?}", std::env::args().skip(1).collect::<Vec<_>>(), std::env::var("COLOR"));
    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("slept {}", start.elapsed() >= Duration::from_millis(20));
    println!("since 2020 {}", SystemTime::now() > SystemTime::UNIX_EPOCH + Duration::from_secs(1577836800));
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    println!("read {text}");
    if let Err(e) = files() {
        println!("files: {e}");
    }
    if let Err(e) = network() {
        println!("network: {e}");
    }
    let keys: std::collections::HashSet<_> = (0..1000).collect();
    println!("hashed {}", keys.len());
    std::process::exit(1);
}
