//! A witness that answers as a test says: what the field does, what it must not do, and worse.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cairn_proto::{
    key::{SecretKey, Signer as _},
    note::{SignatureType, VerifierKey, cosign_line},
    witness::Submission,
};

pub(crate) const NAME: &str = "rogue.example/three";

/// What it does with the next submissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As a witness should that takes whatever it is shown.
    Cosigns,
    /// The same, between lines of others and garbage.
    CosignsAmongOthers,
    /// First a conflict without content type or newline, then it cosigns.
    BareConflict,
    /// A status, with an empty body.
    Says(u16),
    /// A conflict that names no size.
    NamelessConflict,
    /// A conflict that names a size far ahead.
    FarAhead,
    /// Another size each time.
    Dances,
    /// A line over another text.
    WrongText,
    /// A line from far in the future.
    Future,
    /// A line by another key under its name.
    Stranger,
    /// An answer that never ends.
    Endless,
    /// No answer at all.
    Silent,
    /// Hangs up in the middle.
    HangsUp,
    /// Not HTTP.
    Babbles,
}

/// A running rogue.
pub(crate) struct Rogue {
    pub(crate) url: String,
    manner: Arc<Mutex<(Manner, usize)>>,
    ended: Arc<Mutex<bool>>,
    thread: Option<JoinHandle<()>>,
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

impl Rogue {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let manner = Arc::new(Mutex::new((Manner::Says(404), 0)));
        let ended = Arc::new(Mutex::new(false));
        let (shared, stop) = (manner.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if *stop.lock().unwrap() {
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // A client that hangs up is fine.
                    let _ = answer(stream, &shared);
                });
            }
        });
        Self {
            url,
            manner,
            ended,
            thread: Some(thread),
        }
    }

    pub(crate) fn vkey() -> String {
        let key = VerifierKey::new(NAME, SignatureType::Cosignature, key(77).public_key());
        key.unwrap().to_string()
    }

    /// From now on it does this.
    pub(crate) fn does(&self, manner: Manner) {
        *self.manner.lock().unwrap() = (manner, 0);
    }

    /// How often it was asked since.
    pub(crate) fn asked(&self) -> usize {
        self.manner.lock().unwrap().1
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        *self.ended.lock().unwrap() = true;
        let address = self.url.strip_prefix("http://").unwrap();
        drop(TcpStream::connect(address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(stream: TcpStream, shared: &Mutex<(Manner, usize)>) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let submission = Submission::decode(&body).expect("a log sends what the form says");
    let (manner, number) = {
        let mut shared = shared.lock().unwrap();
        shared.1 += 1;
        *shared
    };
    act(stream, manner, number, &submission)
}

fn act(
    mut stream: TcpStream,
    manner: Manner,
    number: usize,
    submission: &Submission,
) -> std::io::Result<()> {
    let note = String::from_utf8(submission.note.clone()).unwrap();
    let (text, _) = note.rsplit_once("\n\n").unwrap();
    let text = format!("{text}\n");
    let line = |text: &str, time, seed| cosign_line(NAME, text, time, &key(seed)).unwrap();
    let good = line(&text, now(), 77);
    let (status, kind, body) = match manner {
        Manner::Cosigns => (200, "text/plain", good),
        Manner::CosignsAmongOthers => {
            let other = cosign_line("other.example/w", &text, now(), &key(3)).unwrap();
            let body = format!("{other}\ngarbage\n{}\n{other}", good.trim_end());
            (200, "text/plain", body)
        }
        Manner::BareConflict if number == 1 => (409, "", "1".to_owned()),
        Manner::BareConflict => (200, "", good),
        Manner::Says(status) => (status, "text/plain", String::new()),
        Manner::NamelessConflict => (409, "text/x.tlog.size", "many\n".to_owned()),
        Manner::FarAhead => (409, "text/x.tlog.size", "1000000\n".to_owned()),
        Manner::Dances => {
            let size = number % 2 + 1;
            (409, "text/x.tlog.size", format!("{size}\n"))
        }
        Manner::WrongText => {
            let other = text.replacen('\n', "x\n", 1);
            (200, "text/plain", line(&other, now(), 77))
        }
        Manner::Future => (200, "text/plain", line(&text, now() + 4_000, 77)),
        Manner::Stranger => (200, "text/plain", line(&text, now(), 78)),
        Manner::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            loop {
                stream.write_all(b"400\r\n")?;
                stream.write_all(&[b'a'; 0x400])?;
                stream.write_all(b"\r\n")?;
            }
        }
        Manner::Silent => {
            // Until the other side has had enough.
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
            return Ok(());
        }
        Manner::HangsUp => {
            return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n\xe2");
        }
        Manner::Babbles => return stream.write_all(b"hello, is this the log?\n"),
    };
    let kind = match kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\n{kind}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())
}
