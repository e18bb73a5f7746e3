//! Audits that are killed.

use std::time::Instant;

use super::{PATIENCE, Scene};
use crate::support::{
    fill::fill,
    process::finish,
    tools::{Random, long},
};

/// Environments and rounds: so many releases, and a map record a batch.
const SHORT: (u64, u64) = (200, 30);
const LONG: (u64, u64) = (2_000, 100);
/// Entries of a bundle.
const BUNDLE: u64 = 256;
/// Bundles, with their documents, that are on the way at once, and one to each side.
const ON_THE_WAY: u64 = 6;
/// KiB of memory in the long form.
const CLIENT_KIB: u64 = 512 << 10;
const SERVER_KIB: u64 = 768 << 10;

/// Goal: bundles that were fetched are not fetched again, and what is kept proves nothing.
/// Method: an audit that nobody disturbs, for the bytes that it takes; one that is killed at
/// random moments, for the bytes that all its runs take together.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_was_killed_fetches_no_bundle_twice() {
    let ((environments, rounds), deaths) = if long() { (LONG, 2) } else { (SHORT, 2) };
    let entries = environments * rounds;
    let mut random = Random::seeded("audits");
    let scene = tokio::task::block_in_place(Scene::new);
    let began = Instant::now();
    let client = scene.served().client().await;
    fill(
        client,
        &scene.dev.trust(),
        &scene.dev.key(),
        environments,
        rounds,
    )
    .await;
    let filled = began.elapsed();
    tokio::task::block_in_place(|| {
        scene.new_home("undisturbed");
        let began = Instant::now();
        let mut whole = scene.start("undisturbed", "audit");
        assert_eq!(whole.ends(), Some(0));
        let (took, undisturbed) = (began.elapsed(), scene.proxy.down());
        let mut peak = whole.peak;
        let came = || scene.proxy.down() - undisturbed;
        for death in 0..deaths {
            let mut auditing = scene.start("client", "audit");
            let rest = undisturbed.saturating_sub(came());
            let until = came() + rest / 3 + random.below(rest / 4);
            assert!(auditing.until(|| came() >= until), "it ended early");
            peak = peak.max(auditing.peak);
            drop(auditing);
            println!("death {death} after {} of {undisturbed} bytes", came());
        }
        let ended = finish(scene.command("client", "audit"), PATIENCE);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(
            ended.stdout.contains("No problems found"),
            "{}",
            ended.stdout
        );
        let again = came().saturating_sub(undisturbed);
        let server = scene.served().memory().1;
        println!(
            "audits: {entries} entries in {filled:?}, audited in {took:?}; {deaths} deaths, \
             {again} of {undisturbed} bytes again, peak of the client {peak} KiB, of the \
             server {server} KiB"
        );
        assert!(
            again <= deaths * ON_THE_WAY * undisturbed * BUNDLE / entries,
            "{again}"
        );
        assert!(peak < CLIENT_KIB, "{peak}");
        assert!(server < SERVER_KIB, "{server}");
        let why = "`cairn audit` read it all, twice";
        scene.served.unwrap().stop_unaudited(why);
    });
}
