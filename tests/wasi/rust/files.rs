// std::fs, std::io, std::env, std::time.
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant, SystemTime};

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    println!("{:?} {:?}", args, std::env::var("COLOR"));

    let mut input = String::new();
    io::stdin().read_to_string(&mut input)?;
    println!("{} lines of input", input.lines().count());

    fs::create_dir_all("/data/a/b")?;
    {
        let mut f = File::create("/data/a/b/data")?;
        for i in 0..100 {
            writeln!(f, "line {}", i)?;
        }
    }
    let f = File::open("/data/a/b/data")?;
    let total: usize = BufReader::new(f)
        .lines()
        .map(|l| l.unwrap().split(' ').nth(1).unwrap().parse::<usize>().unwrap())
        .sum();
    println!("total {}", total);

    let mut f = OpenOptions::new().read(true).write(true).open("/data/a/b/data")?;
    f.seek(SeekFrom::End(-3))?;
    let mut tail = String::new();
    f.read_to_string(&mut tail)?;
    println!("{:?}", tail);
    f.set_len(10)?;
    println!("{} bytes, dir {}", f.metadata()?.len(), fs::metadata("/data/a")?.is_dir());
    drop(f);

    OpenOptions::new().append(true).open("/data/a/b/data")?.write_all(b"END")?;
    println!("{:?}", fs::read_to_string("/data/a/b/data")?);
    fs::copy("/data/a/b/data", "/data/copy")?;
    fs::rename("/data/copy", "/data/a/copy")?;
    let mut names: Vec<_> = fs::read_dir("/data/a")?
        .map(|e| {
            let e = e.unwrap();
            (e.file_name().into_string().unwrap(), e.file_type().unwrap().is_dir())
        })
        .collect();
    names.sort();
    println!("{:?}", names);
    println!("{:?}", File::open("/data/none").unwrap_err().kind());
    println!("{:?}", fs::create_dir("/data/a").unwrap_err().kind());
    println!("{:?}", File::open("/elsewhere/x").is_err());
    println!("{:?}", fs::read_to_string("/data/../../etc/passwd").is_err());
    fs::remove_file("/data/a/copy")?;
    fs::remove_dir_all("/data/a")?;
    println!("{}", fs::read_dir("/data")?.count());

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("{}", start.elapsed() >= Duration::from_millis(20));
    println!("{}", SystemTime::now() > SystemTime::UNIX_EPOCH);
    std::process::exit(17);
}
