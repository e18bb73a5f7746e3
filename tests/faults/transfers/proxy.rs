//! A line between a client and a server that counts what crosses it, and can be cut.
//!
//! Bytes are counted when they were read from whoever sent them, so what was on its way when
//! somebody died is counted though nobody got it.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Bytes that are passed on at a time.
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug, Default)]
struct Line {
    up: AtomicU64,
    down: AtomicU64,
    /// Where the line breaks next, in bytes to the client; the nearest last.
    cuts: Mutex<Vec<u64>>,
    open: Mutex<Vec<TcpStream>>,
    closed: AtomicBool,
}

/// The line; closed when dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    line: Arc<Line>,
}

impl Proxy {
    /// In front of a server that keeps its address, whether it is there or not.
    pub(crate) fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let line = Arc::new(Line::default());
        let shared = Arc::clone(&line);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.closed.load(Ordering::Relaxed) {
                    break;
                }
                // Without a server the client's connection ends at once.
                if let Ok(server) = TcpStream::connect(server) {
                    join(&shared, &client, &server);
                }
            }
        });
        Self { address, line }
    }

    /// Bytes that clients sent so far.
    pub(crate) fn up(&self) -> u64 {
        self.line.up.load(Ordering::Relaxed)
    }

    /// Bytes that the server sent so far.
    pub(crate) fn down(&self) -> u64 {
        self.line.down.load(Ordering::Relaxed)
    }

    /// Breaks the line each time that the server has sent so many bytes.
    pub(crate) fn cut_at(&self, mut down: Vec<u64>) {
        down.sort_unstable();
        down.reverse();
        *self.line.cuts.lock().unwrap() = down;
    }

    /// Breaks that are still to come.
    pub(crate) fn cuts_left(&self) -> usize {
        self.line.cuts.lock().unwrap().len()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.closed.store(true, Ordering::Relaxed);
        for stream in self.line.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the thread that waits for clients.
        let _ = TcpStream::connect(self.address);
    }
}

fn join(line: &Arc<Line>, client: &TcpStream, server: &TcpStream) {
    for (from, to, upwards) in [(client, server, true), (server, client, false)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let _ = to.set_nodelay(true);
        line.open.lock().unwrap().push(from.try_clone().unwrap());
        let line = Arc::clone(line);
        thread::spawn(move || pass(&line, &from, &to, upwards));
    }
}

fn pass(line: &Line, mut from: &TcpStream, mut to: &TcpStream, upwards: bool) {
    let mut buffer = vec![0; CHUNK_BYTES];
    let count = if upwards { &line.up } else { &line.down };
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) => read,
            Err(_) => break,
        };
        let sent = count.fetch_add(read as u64, Ordering::Relaxed) + read as u64;
        let mut cuts = line.cuts.lock().unwrap();
        if !upwards && cuts.last().is_some_and(|at| *at <= sent) {
            cuts.pop();
            break;
        }
        drop(cuts);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
