//! Downloads that break off.

use std::{fs, io::Read as _, path::Path};

use super::{ON_THE_WAY_BYTES, Scene, make_file};
use crate::support::tools::{Random, long};

const RESTORE: &str = "restore staging disk.img --to out";

/// A ledger with a release of one file of so many bytes.
fn recorded(size: u64, random: &mut Random) -> Scene {
    let scene = Scene::new();
    make_file(&scene.path("app/disk.img"), size, random);
    fs::create_dir(scene.path("out")).unwrap();
    scene.run("record staging app");
    scene
}

/// What lies in the target's directory.
fn left(scene: &Scene) -> Vec<String> {
    let entries = fs::read_dir(scene.path("out")).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

fn same(one: &Path, other: &Path) -> bool {
    let digest = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        let mut file = fs::File::open(path).unwrap();
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => return hasher.finalize(),
                count => hasher.update(&buffer[..count]),
            };
        }
    };
    digest(one) == digest(other)
}

/// Goal: what was fetched is not fetched again, the target appears whole or not at all, and
/// nothing is left beside it. Method: restores that are killed at random moments.
#[test]
fn a_restore_that_was_killed_goes_on_where_it_was() {
    let (size, deaths) = if long() { (1 << 30, 5) } else { (48 << 20, 2) };
    let mut random = Random::seeded("downloads");
    let scene = recorded(size, &mut random);
    let target = scene.path("out/disk.img");
    let before = scene.proxy.down();
    let came = || scene.proxy.down() - before;
    for death in 0..deaths {
        let mut restoring = scene.start("client", RESTORE);
        let rest = size.saturating_sub(came());
        let until = came() + rest / 10 + random.below(rest / 3);
        assert!(restoring.until(|| came() >= until), "it ended early");
        drop(restoring);
        println!("death {death} after {} bytes", came());
        assert!(!target.exists());
        assert_eq!(left(&scene).len(), 1, "{:?}", left(&scene));
    }
    let ended = scene.run(RESTORE);
    assert!(ended.stderr.contains("Resuming"), "{}", ended.stderr);
    let again = came().saturating_sub(size);
    println!("downloads: {size} bytes, {deaths} deaths, {again} bytes again");
    assert!(came() > size, "all of it crossed the line");
    assert!(again <= deaths * ON_THE_WAY_BYTES, "{again}");
    assert!(same(&target, &scene.path("app/disk.img")));
    assert_eq!(left(&scene), ["disk.img"]);
    scene.ends();
}

/// Goal: a line that breaks is made again within one run, and the run ends where the line
/// breaks for good. Method: cuts at random places, one before anything came; in the long form,
/// which waits for all tries, a line that is cut whatever is done.
#[test]
fn a_restore_outlives_broken_connections_within_one_run() {
    let size = 48 << 20;
    let mut random = Random::seeded("broken connections");
    let scene = recorded(size, &mut random);
    let before = scene.proxy.down();
    let random_cuts = (0..5).map(|_| before + random.below(size - (1 << 20)));
    let cuts: Vec<u64> = random_cuts.chain([before + (64 << 10)]).collect();
    println!("cuts at {cuts:?}, from {before}");
    scene.proxy.cut_at(cuts.clone());
    let ended = scene.run(RESTORE);
    assert!(!ended.stderr.contains("Resuming"), "{}", ended.stderr);
    assert_eq!(scene.proxy.cuts_left(), 0);
    let again = (scene.proxy.down() - before).saturating_sub(size);
    println!("broken connections: {again} bytes again");
    assert!(again <= cuts.len() as u64 * ON_THE_WAY_BYTES, "{again}");
    assert!(same(
        &scene.path("out/disk.img"),
        &scene.path("app/disk.img")
    ));
    assert_eq!(left(&scene), ["disk.img"]);
    if long() {
        gives_up_in_the_end(&scene, size);
    }
    scene.ends();
}

/// No server comes back: the run ends, and the next one goes on.
fn gives_up_in_the_end(scene: &Scene, size: u64) {
    fs::remove_file(scene.path("out/disk.img")).unwrap();
    let half = scene.proxy.down() + size / 2;
    let mut restoring = scene.start("client", RESTORE);
    assert!(restoring.until(|| scene.proxy.down() >= half));
    scene.proxy.cut_at(vec![0; 1_000]);
    assert_eq!(restoring.ends(), Some(3), "it gives up");
    scene.proxy.cut_at(Vec::new());
    let ended = scene.run(RESTORE);
    assert!(ended.stderr.contains("Resuming"), "{}", ended.stderr);
    assert!(same(
        &scene.path("out/disk.img"),
        &scene.path("app/disk.img")
    ));
}

/// Goal: what an earlier run left is worth nothing until it is hashed, and never blamed on
/// the server. Method: the unfinished file is changed between two runs.
#[test]
fn a_changed_unfinished_file_is_fetched_anew_and_nobody_is_accused() {
    let size = 8 << 20;
    let mut random = Random::seeded("changed leftovers");
    let scene = recorded(size, &mut random);
    let target = scene.path("out/disk.img");
    let whole = fs::read(scene.path("app/disk.img")).unwrap();
    let middle = whole.len() / 2;
    let mut flipped = whole[..middle].to_vec();
    let at = usize::try_from(random.below(middle as u64)).unwrap();
    flipped[at] ^= 1;
    let mut long = whole.clone();
    long.push(0);
    let mut other = whole.clone();
    other[middle] ^= 1;
    let cases = [
        ("flipped", flipped, true),
        ("too long", long, false),
        ("whole", other, true),
    ];
    for (what, bytes, again) in cases {
        let before = scene.proxy.down();
        let mut restoring = scene.start("client", RESTORE);
        assert!(restoring.until(|| scene.proxy.down() > before + size / 8));
        drop(restoring);
        let unfinished = scene.path("out").join(left(&scene).concat());
        fs::write(&unfinished, bytes).unwrap();
        let before = scene.proxy.down();
        let ended = scene.run(RESTORE);
        assert_eq!(
            ended.stderr.contains("Again"),
            again,
            "{what}: {}",
            ended.stderr
        );
        assert!(scene.proxy.down() - before > size, "{what} was believed");
        assert!(same(&target, &scene.path("app/disk.img")));
        assert_eq!(left(&scene), ["disk.img"], "{what}");
        assert!(!scene.path("client/evidence").exists(), "{what}");
        fs::remove_file(&target).unwrap();
    }
    scene.ends();
}
