//! HTTP/2 frames written by hand: what a client library would never send.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// A server that is overwhelmed may be slow to say so.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn literal(block: &mut Vec<u8>, text: &str) {
    // A length below 127 is one byte, without Huffman coding.
    block.push(u8::try_from(text.len()).unwrap());
    block.extend_from_slice(text.as_bytes());
}

/// The header block of a call.
pub(crate) fn call(path: &str) -> Vec<u8> {
    // `:method: POST`, `:scheme: http` by index; `:path`, `:authority` by name.
    let mut block = vec![0x83, 0x86, 0x44];
    literal(&mut block, path);
    block.push(0x41);
    literal(&mut block, "localhost");
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        block.push(0x00);
        literal(&mut block, name);
        literal(&mut block, value);
    }
    block
}

/// A raw connection that has greeted the server.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
}

/// How a server ended a connection.
#[derive(Debug, Default)]
pub(crate) struct Farewell {
    /// Error code of its `GOAWAY`, if it sent one with an error.
    pub(crate) error: Option<u32>,
    /// Whether it closed the connection.
    pub(crate) closed: bool,
    /// Streams that it reset.
    pub(crate) resets: usize,
    /// Streams that it answered.
    pub(crate) answers: usize,
}

impl Raw {
    pub(crate) async fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut payload = Vec::new();
        for (name, value) in settings {
            payload.extend(name.to_be_bytes());
            payload.extend(value.to_be_bytes());
        }
        let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &payload)].concat();
        stream.write_all(&greeting).await.unwrap();
        Self { stream }
    }

    /// Sends until all is sent or the server takes no more; says whether it took everything.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(
            timeout(PATIENCE, self.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    /// Reads what the server says until it closes, sends an error, or says nothing for so long.
    pub(crate) async fn farewell(&mut self, silence: Duration) -> Farewell {
        let mut farewell = Farewell::default();
        loop {
            let mut head = [0; 9];
            match timeout(silence, self.stream.read_exact(&mut head)).await {
                Err(_) => return farewell,
                Ok(Err(_)) => {
                    farewell.closed = true;
                    return farewell;
                }
                Ok(Ok(_)) => {}
            }
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let mut payload = vec![0; length];
            if self.stream.read_exact(&mut payload).await.is_err() {
                farewell.closed = true;
                return farewell;
            }
            match head[3] {
                GOAWAY => {
                    let code = payload[4..8].try_into().map(u32::from_be_bytes).unwrap();
                    if code != 0 {
                        farewell.error = Some(code);
                    }
                }
                RST_STREAM => farewell.resets += 1,
                HEADERS => farewell.answers += 1,
                _ => {}
            }
        }
    }
}
