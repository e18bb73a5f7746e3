//! Uploads that somebody dies of.

use std::time::Instant;

use super::{Scene, make_file};
use crate::support::tools::{Random, long};

const SHORT_BYTES: u64 = 64 << 20;
const LONG_BYTES: u64 = 5 << 30;
/// Bytes that a death may cost: what the server lets be on its way to it unread, and what
/// came since it last noted how far an upload was.
const AGAIN_BYTES: u64 = 6 << 20;
/// KiB that either side may need, however large the content is.
const CLIENT_KIB: u64 = 128 << 10;
const SERVER_KIB: u64 = 256 << 10;

/// Goal: what was sent is not sent again, whoever died. Method: a file, a client that is
/// killed, then a server that is killed under a client that goes on by itself, each after
/// a random part of what is left; bytes are counted on the line.
#[test]
fn an_upload_that_anybody_died_of_goes_on_where_it_was() {
    let (size, rounds) = if long() {
        (LONG_BYTES, 1)
    } else {
        (SHORT_BYTES, 2)
    };
    let mut random = Random::seeded("uploads");
    let mut scene = Scene::new();
    make_file(&scene.path("app/disk.img"), size, &mut random);
    let began = Instant::now();
    let (mut deaths, mut client_peak, mut server_peak) = (0, 0, 0);
    for _ in 0..rounds {
        let mut recording = scene.start("client", "record staging app");
        let until = part_of_the_rest(scene.proxy.up(), size, &mut random);
        let reached = recording.until(|| scene.proxy.up() >= until);
        assert!(reached, "the upload ended at {} bytes", scene.proxy.up());
        client_peak = client_peak.max(recording.peak);
        println!("the client dies after {} bytes", scene.proxy.up());
        drop(recording);
        deaths += 1;
    }
    let mut recording = scene.start("client", "record staging app");
    for _ in 0..rounds {
        let until = part_of_the_rest(scene.proxy.up(), size, &mut random);
        let reached = recording.until(|| scene.proxy.up() >= until);
        assert!(reached, "the upload ended at {} bytes", scene.proxy.up());
        server_peak = server_peak.max(scene.served().memory().1);
        println!("the server dies after {} bytes", scene.proxy.up());
        scene.kill_server();
        deaths += 1;
    }
    assert_eq!(recording.ends(), Some(0), "the client went on by itself");
    client_peak = client_peak.max(recording.peak);
    server_peak = server_peak.max(scene.served().memory().1);
    let again = scene.proxy.up().saturating_sub(size);
    println!(
        "uploads: {size} bytes, {deaths} deaths, {again} bytes again, peak of the client \
         {client_peak} KiB, of the server {server_peak} KiB, {:?}",
        began.elapsed()
    );
    assert!(scene.proxy.up() > size, "all of it crossed the line");
    assert!(again <= deaths * AGAIN_BYTES, "{again}");
    assert!(client_peak < CLIENT_KIB, "{client_peak}");
    assert!(server_peak < SERVER_KIB, "{server_peak}");
    let verified = scene.run("verify staging app");
    assert!(
        verified.stdout.contains("1 of 1 file"),
        "{}",
        verified.stdout
    );
    scene.ends();
}

/// Somewhere in the nearer half of what is left.
fn part_of_the_rest(sent: u64, size: u64, random: &mut Random) -> u64 {
    let left = size.saturating_sub(sent);
    sent + left / 10 + random.below(left / 3)
}
