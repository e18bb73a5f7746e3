//! Archives that nobody should believe: each is refused by name, and nothing of it is recorded.

use std::{
    fs,
    io::{Read as _, Write as _},
};

use cairn_proto::hash::Sha256;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    stage::{Ledger, Stage},
    support::docker::{build, has_tools, run},
};

pub(crate) fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256::of(bytes))
}

/// An archive in the making; names may be any bytes.
struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(mut self, name: &str, kind: tar::EntryType, to: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
        header.set_cksum();
        self.0.append(&header, bytes).unwrap();
        self
    }

    fn file(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        self.entry(name, tar::EntryType::Regular, "", bytes.as_ref())
    }

    fn link(self, name: &str, to: &str) -> Self {
        self.entry(name, tar::EntryType::Symlink, to, b"")
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// A sound image of one layer, in pieces.
pub(crate) struct Parts {
    pub(crate) layer: Vec<u8>,
    pub(crate) config: Vec<u8>,
    name: String,
    table: Vec<u8>,
}

pub(crate) fn parts() -> Parts {
    let layer = b"a layer".to_vec();
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": [digest(&layer)] },
    });
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", Sha256::of(&config));
    let table = json!([{ "Config": name, "RepoTags": ["shop:1"], "Layers": ["l/layer.tar"] }]);
    Parts {
        layer,
        config,
        name,
        table: table.to_string().into_bytes(),
    }
}

/// A sound archive in the classic form.
fn classic() -> Tar {
    let parts = parts();
    Tar::new()
        .file(&parts.name, parts.config)
        .file("l/layer.tar", parts.layer)
        .file("manifest.json", parts.table)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// Records each of these archives, which must be refused for its reason.
#[track_caller]
fn refused(stage: &Stage, cases: Vec<(Vec<u8>, &str)>) {
    let size = stage.size();
    for (at, (bytes, why)) in cases.into_iter().enumerate() {
        stage.write("bad.tar", bytes);
        let ran = stage.run("record bad --docker=bad.tar");
        assert!(ran.err.contains(why), "case {at}, {why}: {}", ran.err);
        ran.refuses(1, "SOURCE_INVALID");
    }
    assert_eq!(stage.size(), size, "nothing was recorded");
}

/// Goal: an archive that lacks something, or has other bytes than it says, is refused by name.
/// Method: one archive for each, beside sound ones.
#[test]
fn an_archive_that_is_not_whole_is_refused() {
    let (stage, _ledger) = Stage::with_ledger();
    let parts = parts();
    let whole = classic().bytes();
    stage.write("sound.tar", &whole);
    stage.run("record sound --docker=sound.tar").exits(0);
    // Docker keeps a layer that comes twice as a link within the archive.
    let linked = Tar::new()
        .file(&parts.name, &parts.config)
        .file("k/layer.tar", &parts.layer)
        .link("l/layer.tar", "../k/layer.tar")
        .file("manifest.json", &parts.table);
    stage.write("linked.tar", linked.bytes());
    stage.run("record linked --docker=linked.tar").exits(0);

    let of = |config: &[u8], layer: Option<&[u8]>| {
        let tar = Tar::new().file(&parts.name, config);
        let tar = match layer {
            Some(layer) => tar.file("l/layer.tar", layer),
            None => tar,
        };
        tar.file("manifest.json", &parts.table).bytes()
    };
    let other = br#"{"architecture":"amd64","os":"linux"}"#;
    let twice = String::from_utf8(parts.table.clone()).unwrap();
    let twice = twice.replace("\"Config\"", "\"Config\":\"a\",\"Config\"");
    let table = |text: &str| Tar::new().file("manifest.json", text).bytes();
    let cases = vec![
        (whole[..600].to_vec(), "the archive ends within it"),
        (whole[..1024].to_vec(), "no archive of images"),
        (whole[..1600].to_vec(), "as an archive"),
        (gzip(&whole)[..200].to_vec(), "incomplete deflate stream"),
        (of(&parts.config, None), "which is not in it"),
        (
            of(&parts.config, Some(b"b layer")),
            "the layer l/layer.tar has the digest sha256:",
        ),
        (of(other, Some(&parts.layer)), "has the digest sha256:"),
        (table(&twice), "stands twice"),
        (table("[{}]"), "missing field"),
        (Tar::new().file("a", b"x").bytes(), "no archive of images"),
    ];
    refused(&stage, cases);
    stage.write("bad.tar", table("[]"));
    stage
        .run("record bad --docker=bad.tar")
        .refuses(1, "PATH_EMPTY");
}

/// Goal: an archive cannot name anything outside of it, name one thing twice, or swell. Method:
/// one trick in each of several archives that are sound but for it.
#[test]
fn an_archive_with_a_trick_is_refused() {
    let (stage, _ledger) = Stage::with_ledger();
    let file = |name: &str| classic().file(name, b"[]").bytes();
    let link = |name: &str, to: &str| classic().link(name, to).bytes();
    let entry = |kind: tar::EntryType| classic().entry("odd", kind, "manifest.json", b"");
    let bomb = Tar::new().file("big", vec![0; 96 << 20]).bytes();
    let long = vec![b'a'; 1 << 20];
    let long = Tar::new().entry("././@LongLink", tar::EntryType::GNULongName, "", &long);
    let out = "leads out of the archive";
    let odd = "neither a file nor a link";
    let cases = vec![
        (file("../up"), out),
        (file("a/../../up"), out),
        (file("a/../manifest.json"), out),
        (file("/etc/passwd"), out),
        (link("a", "/etc/passwd"), "a link that leads out"),
        (link("a/b", "../../etc"), "a link that leads out"),
        (link("a/b", "../nothing"), "which is no file"),
        (entry(tar::EntryType::Link).bytes(), odd),
        (entry(tar::EntryType::Char).bytes(), odd),
        (entry(tar::EntryType::Fifo).bytes(), odd),
        (file("manifest.json"), "is there twice"),
        (file("./manifest.json"), "is there twice"),
        (long.bytes(), "a header that is too long"),
        (gzip(&bomb), "made to swell"),
    ];
    refused(&stage, cases);
    assert!(!stage.path("up").exists() && !stage.path("../up").exists());
}

/// A stage with a real image in skopeo's layout form, and the bytes of that.
fn with_layout() -> (Stage, Ledger, Vec<u8>) {
    let (stage, ledger) = Stage::with_ledger();
    let folder = stage.path("");
    build(&folder, "1", "one", "--config.user 1000");
    let line = "skopeo copy -q oci:oci:1 oci-archive:layout.tar:shop:1";
    run(&folder, line);
    let whole = fs::read(stage.path("layout.tar")).unwrap();
    (stage, ledger, whole)
}

/// Goal: a real archive of which one byte changed is refused, wherever it is. Method: skopeo's
/// layout form, and a byte in each of its files.
#[test]
fn a_real_archive_of_which_a_byte_changed_is_refused() {
    if !has_tools("a changed archive", &["skopeo", "umoci"]) {
        return;
    }
    let (stage, _ledger, whole) = with_layout();
    let mut members = Vec::new();
    for entry in tar::Archive::new(whole.as_slice()).entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        if entry.size() > 0 {
            members.push((name, entry.raw_file_position(), entry.size()));
        }
    }
    assert!(members.len() >= 5, "{members:?}");
    let size = stage.size();
    for (name, at, length) in &members {
        let mut bytes = whole.clone();
        bytes[usize::try_from(at + length / 2).unwrap()] ^= 1;
        stage.write("changed.tar", bytes);
        let ran = stage.run("record prod --docker=changed.tar");
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.out);
        let ran = ran.refuses(1, "SOURCE_INVALID");
        if name.starts_with("blobs/") {
            ran.says(name).says("has the digest sha256:");
        }
    }
    assert_eq!(stage.size(), size, "nothing was recorded");
}

/// Goal: newer Dockers write both tables of contents into one archive; they must name the same
/// image. Method: skopeo's layout form with Docker's table added, of this image and of another.
#[test]
fn two_tables_of_contents_must_agree() {
    if !has_tools("two tables", &["skopeo", "umoci"]) {
        return;
    }
    let (stage, _ledger, whole) = with_layout();
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Sha256::of(bytes));
    let table = |config: &[u8], layer: &[u8]| {
        let item =
            json!({ "Config": blob(config), "RepoTags": ["shop:1"], "Layers": [blob(layer)] });
        json!([item]).to_string()
    };
    let index: Value = serde_json::from_str(&stage.text("oci/index.json")).unwrap();
    let read = |of: &Value| {
        let hex = of["digest"].as_str().unwrap().replace("sha256:", "");
        fs::read(stage.path(format!("oci/blobs/sha256/{hex}"))).unwrap()
    };
    let manifest: Value = serde_json::from_slice(&read(&index["manifests"][0])).unwrap();
    let (config, layer) = (read(&manifest["config"]), read(&manifest["layers"][0]));
    let one = repacked(&whole).file("manifest.json", table(&config, &layer));
    stage.write("one.tar", one.bytes());
    stage.run("record one --docker=one.tar").exits(0);
    stage.run("verify one --docker=layout.tar").exits(0);
    let parts = parts();
    let two = |config: &[u8], layer: &[u8]| {
        repacked(&whole)
            .file(&blob(&parts.config), &parts.config)
            .file(&blob(&parts.layer), &parts.layer)
            .file("manifest.json", table(config, layer))
            .bytes()
    };
    let differ = "name different images";
    let cases = vec![
        (two(&parts.config, &parts.layer), differ),
        (two(&config, &parts.layer), differ),
    ];
    refused(&stage, cases);
}

/// The files of an archive in a new one.
fn repacked(bytes: &[u8]) -> Tar {
    let mut packed = Tar::new();
    for entry in tar::Archive::new(bytes).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if !bytes.is_empty() {
            packed = packed.file(&name, bytes);
        }
    }
    packed
}
