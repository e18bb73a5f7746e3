//! The auditor of these tests, audited: it ends most of them, so it must not be blind.

use crate::{
    fill::fill,
    support::{
        Server,
        audit::{Fault, audit, replay},
        http::{Browser, Version},
        tools::Random,
    },
};

/// Goal: a flipped byte is a wrong answer, wherever it is. Method: an honest server, and a
/// connection that flips one byte of what it serves; beside each lie the truth.
#[tokio::test(flavor = "multi_thread")]
async fn the_audit_notices_a_flipped_byte_of_anything_that_is_served() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 5, 60).await;
    assert!(audit(&server).await.head.size().0 > 300);
    let mut random = Random::seeded("auditor");
    let paths = [
        "/checkpoint",
        "/tile/entries/000",
        "/tile/entries/001",
        "/documents/000",
        "/documents/001",
        "/tile/0/000",
        "/tile/0/001",
        "/tile/1/000",
    ];
    for path in paths {
        for _ in 0..20 {
            // Of a note any byte up to its second line; of all else any at all.
            let bound = if path == "/checkpoint" { 20 } else { 1 << 40 };
            let at = usize::try_from(random.below(bound)).unwrap();
            let browser = Browser::open(server.address, Version::One).await;
            let read = replay(&mut browser.lied_to(path, at), server.ledger.trust()).await;
            let what = format!("a flipped byte of {path}, at {at} of its length");
            match read {
                Err(Fault::Wrong(_)) => {}
                Err(Fault::Unserved(why)) => panic!("{what} is taken for a fault: {why}"),
                Ok(_) => panic!("{what} was not noticed"),
            }
        }
    }
    server.stop().await;
}
