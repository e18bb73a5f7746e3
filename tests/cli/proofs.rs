//! Proofs in other people's formats.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_client::trust;
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::{Index, LeafHash, NodeHash},
    merkle::verify_inclusion,
};

use crate::stage::Stage;

/// Goal: a tlog-proof says what the format says, and proves it. Method: read by hand, for a
/// current and an older release, and checked against the note in it; one flipped bit of the
/// entry is not proven.
#[test]
fn a_tlog_proof_is_of_the_format_and_proves_the_entry() {
    let (stage, _ledger) = Stage::with_release();
    stage.edit("app/web.yaml", "3", "4");
    stage.run("record prod/shop app").exits(0);
    let shown = stage.run("trust show --output json").exits(0);
    let trust = trust::parse(shown.out.as_bytes()).unwrap();
    for (reference, index) in [("prod/shop#1", 2), ("prod/shop", 4)] {
        let export = format!("export {reference} --tlog-proof -o shop.tlog-proof");
        stage.run(&export).exits(0).says("Exported  prod/shop#");
        let text = stage.text("shop.tlog-proof");
        let (head, note) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        assert_eq!(lines.next(), Some("c2sp.org/tlog-proof@v1"));
        let extra = lines.next().unwrap().strip_prefix("extra ").unwrap();
        let mut entry = STANDARD.decode(extra).unwrap();
        assert_eq!(lines.next(), Some(format!("index {index}").as_str()));
        let hashes: Vec<_> = lines
            .map(|line| NodeHash(STANDARD.decode(line).unwrap().try_into().unwrap()))
            .collect();
        let note = SignedCheckpoint::parse(note.as_bytes()).unwrap();
        let head = note.authenticate(&trust, u64::MAX).unwrap();
        let proven = |entry: &[u8]| {
            let leaf = LeafHash::of(entry);
            verify_inclusion(leaf, Index(index), head.size(), &hashes, head.root()).is_ok()
        };
        assert!(proven(&entry), "{reference}");
        entry[10] ^= 1;
        assert!(!proven(&entry), "{reference}");
    }
    stage
        .run("export prod/never --tlog-proof -o never.tlog-proof")
        .refuses(1, "NOT_FOUND");
    assert!(!stage.path("never.tlog-proof").exists());
}
