//! Peers that mean harm, or are broken: each costs at most its own connection, and a bounded
//! amount of memory. The server is a process of its own, so that its memory can be read.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cairn_grpc::v1;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, task::JoinHandle, time::timeout};

use crate::{
    frames::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, call, frame,
    },
    support::{
        Draft,
        audit::audit_by,
        external,
        http::{Browser, Version},
        manifest,
        process::{Dev, Served},
        prove::Client,
        tools::{long, skipped},
    },
};

/// KiB by which a server may grow while it is abused: the connection's windows, buffers of
/// threads, what the allocator keeps.
const GROWTH_MAX: u64 = 64 << 10;
/// A call of somebody else, while the server is abused and all share two cores.
const CALL_MAX: Duration = Duration::from_secs(3);

/// A server, somebody who uses it properly meanwhile, and its memory before.
struct Victim {
    _directory: tempfile::TempDir,
    dev: Dev,
    served: Served,
    before: u64,
    bystander: JoinHandle<(usize, Duration)>,
    enough: tokio::sync::watch::Sender<bool>,
}

/// Calls until it is told that it is enough; how often, and the slowest.
async fn use_properly(
    mut client: Client,
    mut enough: tokio::sync::watch::Receiver<bool>,
) -> (usize, Duration) {
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    while !*enough.borrow_and_update() {
        let start = Instant::now();
        let lookup = v1::LookupRequest {
            environment: "staging".into(),
            ..Default::default()
        };
        client.lookup(lookup).await.unwrap();
        slowest = slowest.max(start.elapsed());
        calls += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (calls, slowest)
}

impl Victim {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dev = Dev::below(directory.path());
        let served = tokio::task::block_in_place(|| dev.start());
        let mut browser = Browser::open(served.address, Version::Two).await;
        audit_by(&mut browser, &dev.trust()).await;
        let (enough, told) = tokio::sync::watch::channel(false);
        let bystander = tokio::spawn(use_properly(served.client().await, told));
        tokio::time::sleep(Duration::from_millis(100)).await;
        Self {
            before: served.memory().1,
            _directory: directory,
            dev,
            served,
            bystander,
            enough,
        }
    }

    /// What must hold after any abuse.
    async fn ends_well(self, abuse: &str) {
        self.ends_well_within(abuse, GROWTH_MAX).await;
    }

    async fn ends_well_within(self, abuse: &str, growth_max: u64) {
        self.enough.send_replace(true);
        let (calls, slowest) = self.bystander.await.unwrap();
        let (_, most) = self.served.memory();
        let grown = most - self.before;
        println!("{abuse}: {calls} calls of others, slowest {slowest:?}, grew by {grown} KiB");
        assert!(
            calls > 3 && slowest < CALL_MAX,
            "{abuse}: others waited {slowest:?}"
        );
        assert!(grown < growth_max, "{abuse}: it grew by {grown} KiB");
        let mut browser = Browser::open(self.served.address, Version::One).await;
        audit_by(&mut browser, &self.dev.trust()).await;
        drop(browser);
        let ended = self.served.stop();
        assert_eq!(ended.code, Some(0), "{abuse}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("panicked"),
            "{abuse}: {}",
            ended.stderr
        );
    }
}

/// Goal: streams that are opened and reset at once (CVE-2023-44487) cost their own
/// connection. Method: thousands of pairs of frames, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn rapid_reset_closes_only_its_own_connection() {
    let victim = Victim::new().await;
    for path in ["/cairn.v1.Ledger/GetLedger", "/checkpoint"] {
        let mut raw = Raw::open(victim.served.address, &[]).await;
        let mut flood = Vec::new();
        for stream in (1..20_000).step_by(2) {
            flood.extend(frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &call(path),
            ));
            flood.extend(frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]));
        }
        raw.send(&flood).await;
        let farewell = raw.farewell(Duration::from_secs(10)).await;
        // ENHANCE_YOUR_CALM, or the connection is cut before it can be read.
        assert!(farewell.closed, "{farewell:?}");
        assert!(
            farewell.error.is_none_or(|error| error == 11),
            "{farewell:?}"
        );
    }
    victim.ends_well("rapid reset").await;
}

/// Goal: a header block without end is not gathered. Method: `CONTINUATION` frames (CVE-2024-
/// 27316) for as long as the server takes them.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_block_without_end_closes_only_its_own_connection() {
    let victim = Victim::new().await;
    for piece in [vec![0; 16 << 10], Vec::new()] {
        let mut raw = Raw::open(victim.served.address, &[]).await;
        raw.send(&frame(HEADERS, 0, 1, &call("/checkpoint"))).await;
        let flood = frame(CONTINUATION, 0, 1, &piece).repeat(64);
        let mut taken = 0;
        while taken < 32 << 20 && raw.send(&flood).await {
            taken += flood.len().max(64 << 10);
        }
        let farewell = raw.farewell(Duration::from_secs(10)).await;
        assert!(
            farewell.closed,
            "frames of {} bytes: {farewell:?}",
            piece.len()
        );
    }
    victim.ends_well("continuation flood").await;
}

/// Goal: a small block that expands to a large one is refused. Method: one long header in
/// the compression table, named a thousand times in each of many streams.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_bomb_is_refused() {
    let victim = Victim::new().await;
    let mut raw = Raw::open(victim.served.address, &[]).await;
    let mut block = call("/checkpoint");
    // A new name and a value of 3,000 bytes, kept in the table as entry 62.
    block.extend([0x40, 1, b'b']);
    block.extend([0x7f, 0xb9, 0x16]);
    block.extend([b'x'; 127 + 0x39 + (0x16 << 7)]);
    let bomb = [block, vec![0xbe; 4_000]].concat();
    for stream in (1..200).step_by(2) {
        if !raw
            .send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &bomb))
            .await
        {
            break;
        }
    }
    let farewell = raw.farewell(Duration::from_secs(3)).await;
    assert!(
        farewell.closed || farewell.answers + farewell.resets > 0,
        "{farewell:?}"
    );
    victim.ends_well("header bomb").await;
}

/// Goal: answers that nobody reads do not pile up. Method: pings, and calls, by a peer that
/// never reads.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_is_not_buffered_for() {
    let victim = Victim::new().await;
    let mut pings = Raw::open(victim.served.address, &[]).await;
    let flood = frame(PING, 0, 0, &[0; 8]).repeat(4_000);
    for _ in 0..50 {
        let sent = pings.stream.write_all(&flood);
        if timeout(Duration::from_millis(300), sent).await.is_err() {
            break;
        }
    }
    // With a window of 0 no answer may be sent.
    let mut calls = Raw::open(victim.served.address, &[(4, 0)]).await;
    for stream in (1..1_000).step_by(2) {
        let request = frame(
            HEADERS,
            END_HEADERS,
            stream,
            &call("/cairn.v1.Ledger/GetLedger"),
        );
        let message = frame(DATA, END_STREAM, stream, &[0; 5]);
        calls.send(&[request, message].concat()).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    victim.ends_well("a peer that never reads").await;
}

/// Goal: a slow peer holds up nobody. Method: two hundred connections that send a byte now
/// and then, over either HTTP, and two hundred that say nothing; in the long form until the
/// server has had enough of each.
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_silent_peers_hold_up_nobody() {
    let victim = Victim::new().await;
    let texts: [&[u8]; 4] = [
        b"",
        b"GET /checkpoint HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes\r\nX-Slower: yes\r\n",
        b"PRI * HTTP/2.0",
        b"G",
    ];
    let mut peers = Vec::new();
    for number in 0..400 {
        let stream = TcpStream::connect(victim.served.address).await.unwrap();
        peers.push((stream, texts[number % texts.len()]));
    }
    let rounds = if long() { 35 } else { 3 };
    for round in 0..rounds {
        for (stream, text) in &mut peers {
            if let Some(byte) = text.get(round) {
                // It may have been closed.
                let _ = stream.write_all(&[*byte]).await;
            }
        }
        tokio::time::sleep(Duration::from_secs(u64::from(long())) + Duration::from_millis(100))
            .await;
    }
    if long() {
        for (stream, text) in &mut peers {
            let mut raw = [0; 512];
            let read = tokio::io::AsyncReadExt::read(stream, &mut raw);
            let read = timeout(Duration::from_secs(20), read).await;
            assert!(
                read.is_ok(),
                "{:?} is still open",
                String::from_utf8_lossy(text)
            );
        }
    } else {
        skipped("slow peers are cut", "it takes a minute: CAIRN_LONG=1");
    }
    drop(peers);
    victim.ends_well("slow peers").await;
}

/// Sends the beginning of a message of 6 MiB on a stream of its own, as far as the server
/// takes it; what it took.
async fn half_sent(sender: h2::client::SendRequest<Bytes>) -> (u64, Option<h2::SendStream<Bytes>>) {
    let Ok(mut sender) = sender.ready().await else {
        return (0, None);
    };
    let request = http::Request::post("http://localhost/cairn.v1.Ledger/Append");
    let request = request
        .header("content-type", "application/grpc")
        .body(())
        .unwrap();
    let Ok((_, mut stream)) = sender.send_request(request, false) else {
        return (0, None);
    };
    let mut head = vec![0];
    head.extend((6_u32 << 20).to_be_bytes());
    if stream.send_data(head.into(), false).is_err() {
        return (0, None);
    }
    let mut taken = 0;
    while taken < (6 << 20) - 1 {
        stream.reserve_capacity(64 << 10);
        let granted = std::future::poll_fn(|context| stream.poll_capacity(context));
        match timeout(Duration::from_millis(500), granted).await {
            Ok(Some(Ok(granted))) => {
                let count = granted.min((6 << 20) - 1 - taken);
                if stream.send_data(vec![0; count].into(), false).is_err() {
                    break;
                }
                taken += count;
            }
            _ => break,
        }
    }
    (taken as u64, Some(stream))
}

/// Goal: calls that are never finished are bounded. Method: as many streams as a connection
/// may have, each with all but the last byte of the largest message.
#[tokio::test(flavor = "multi_thread")]
async fn half_sent_messages_are_bounded() {
    let victim = Victim::new().await;
    let stream = TcpStream::connect(victim.served.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let calls = (0..500).map(|_| tokio::spawn(half_sent(sender.clone())));
    let calls: Vec<_> = calls.collect();
    let mut streams = Vec::new();
    let mut taken = 0;
    for call in calls {
        let (bytes, stream) = call.await.unwrap();
        taken += bytes;
        streams.push(stream);
    }
    println!("half-sent messages: {} MiB were taken", taken >> 20);
    drop((streams, sender));
    connection.abort();
    victim.ends_well("half-sent messages").await;
}

/// Goal: calls that are begun and never sent hold up nobody. Method: more of them than the
/// server answers at once, over a few connections.
#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_begun_and_never_sent_hold_up_nobody() {
    let victim = Victim::new().await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut raw = Raw::open(victim.served.address, &[]).await;
        for stream in (1..800).step_by(2) {
            let head = frame(
                HEADERS,
                END_HEADERS,
                stream,
                &call("/cairn.v1.Ledger/Append"),
            );
            raw.send(&head).await;
        }
        idle.push(raw);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(idle);
    victim.ends_well("calls that are never sent").await;
}

/// A release whose entry is large: so is a bundle of them.
fn large(victim: &Victim, number: u64) -> v1::AppendRequest {
    let files = manifest(vec![external("a", b"1")]);
    let name = format!("large/{number}");
    let mut draft = Draft::new(*victim.dev.trust().genesis(), &name, 1, &files);
    let annotations = (0..30).map(|at| (format!("a{at}"), "y".repeat(1_000)));
    draft.release.annotations = annotations.collect();
    draft.sign_by(&victim.dev.key())
}

/// Goal: answers that nobody reads are not held in memory. Method: a bundle of 5 MB of
/// entries, and lists of them, asked for on a thousand streams of which none may be sent.
#[tokio::test(flavor = "multi_thread")]
async fn bundles_and_lists_that_nobody_reads_are_not_held() {
    let victim = Victim::new().await;
    let mut client = victim.served.client().await;
    for number in 0..127 {
        client.append(large(&victim, number)).await.unwrap();
    }
    let mut unread = Vec::new();
    for path in ["/tile/entries/000", "/cairn.v1.Ledger/ListEntries"] {
        let mut raw = Raw::open(victim.served.address, &[(4, 0)]).await;
        for stream in (1..1_000).step_by(2) {
            let mut block = call(path);
            if path.starts_with("/tile") {
                // `:method: GET`.
                block[0] = 0x82;
                raw.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
                    .await;
            } else {
                // `page_size: 200`, in protobuf.
                let message = [0, 0, 0, 0, 3, 0x10, 0xc8, 0x01];
                let head = frame(HEADERS, END_HEADERS, stream, &block);
                raw.send(&[head, frame(DATA, END_STREAM, stream, &message)].concat())
                    .await;
            }
        }
        unread.push(raw);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(unread);
    // Threads for file work come on top, and for each list a page of 256 KiB.
    let bound = 5 * GROWTH_MAX;
    victim
        .ends_well_within("bundles and lists that nobody reads", bound)
        .await;
}
