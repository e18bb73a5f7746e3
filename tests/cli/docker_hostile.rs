//! Archives and registries that nobody should believe: each is refused by name, and nothing of
//! it is recorded.

use std::{fs, io::Write as _, time::Duration};

use cairn_proto::hash::Sha256;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::{
    stage::Stage,
    support::docker::{Reply, build, false_registry, has_tools, run},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn digest(bytes: &[u8]) -> String {
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
struct Parts {
    layer: Vec<u8>,
    config: Vec<u8>,
    name: String,
    table: Vec<u8>,
}

fn parts() -> Parts {
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

/// Goal: an archive that is cut, leads out of itself, swells, or says two things is refused,
/// and nothing is recorded. Method: one archive for each trick, beside sound ones.
#[test]
fn an_archive_with_a_trick_is_refused() {
    let (stage, _ledger) = Stage::with_ledger();
    let parts = parts();
    stage.write("sound.tar", classic().bytes());
    stage.run("record sound --docker=sound.tar").exits(0);
    // Docker keeps a layer that comes twice as a link within the archive.
    let linked = Tar::new()
        .file(&parts.name, &parts.config)
        .file("k/layer.tar", &parts.layer)
        .link("l/layer.tar", "../k/layer.tar")
        .file("manifest.json", &parts.table);
    stage.write("linked.tar", linked.bytes());
    stage.run("record linked --docker=linked.tar").exits(0);

    let whole = classic().bytes();
    let missing = "which is not in it";
    let without_layer = Tar::new()
        .file(&parts.name, &parts.config)
        .file("manifest.json", &parts.table);
    let other_layer = Tar::new()
        .file(&parts.name, &parts.config)
        .file("l/layer.tar", b"b layer")
        .file("manifest.json", &parts.table);
    let other_config = Tar::new()
        .file(&parts.name, br#"{"architecture":"amd64","os":"linux"}"#)
        .file("l/layer.tar", &parts.layer)
        .file("manifest.json", &parts.table);
    let twice_named = String::from_utf8(parts.table.clone()).unwrap();
    let twice_named = twice_named.replace("\"Config\"", "\"Config\":\"a\",\"Config\"");
    let bomb = Tar::new().file("big", vec![0; 96 << 20]).bytes();
    let long = Tar::new().entry(
        "././@LongLink",
        tar::EntryType::GNULongName,
        "",
        &vec![b'a'; 1 << 20],
    );
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (whole[..600].to_vec(), "the archive ends within it"),
        (whole[..1024].to_vec(), "no archive of images"),
        (whole[..1600].to_vec(), "as an archive"),
        (gzip(&whole)[..200].to_vec(), "incomplete deflate stream"),
        (without_layer.bytes(), missing),
        (
            other_layer.bytes(),
            &"the layer l/layer.tar has the digest sha256:",
        ),
        (other_config.bytes(), &"has the digest sha256:"),
        (
            classic().file("../up", b"x").bytes(),
            "leads out of the archive",
        ),
        (
            classic().file("a/../../up", b"x").bytes(),
            "leads out of the archive",
        ),
        (
            classic().file("/etc/passwd", b"x").bytes(),
            "leads out of the archive",
        ),
        (
            classic().link("a", "/etc/passwd").bytes(),
            "a link that leads out",
        ),
        (
            classic().link("a/b", "../../etc").bytes(),
            "a link that leads out",
        ),
        (
            classic().link("a/b", "../nothing").bytes(),
            "which is no file",
        ),
        (
            classic()
                .entry("hard", tar::EntryType::Link, "manifest.json", b"")
                .bytes(),
            "neither a file nor a link",
        ),
        (
            classic()
                .entry("dev", tar::EntryType::Char, "", b"")
                .bytes(),
            "neither a file nor a link",
        ),
        (
            classic().file("manifest.json", b"[]").bytes(),
            "is there twice",
        ),
        (
            classic().file("./manifest.json", b"[]").bytes(),
            "is there twice",
        ),
        (
            Tar::new().file("manifest.json", twice_named).bytes(),
            "stands twice",
        ),
        (
            Tar::new().file("readme", b"x").bytes(),
            "no archive of images",
        ),
        (long.bytes(), "a header that is too long"),
        (gzip(&bomb), "made to swell"),
    ];
    let size = stage.size();
    for (at, (bytes, why)) in cases.into_iter().enumerate() {
        stage.write("bad.tar", bytes);
        let ran = stage.run("record bad --docker=bad.tar");
        assert!(ran.err.contains(why), "case {at}, {why}: {}", ran.err);
        ran.refuses(1, "SOURCE_INVALID");
    }
    stage.write("bad.tar", Tar::new().file("manifest.json", b"[]").bytes());
    stage
        .run("record bad --docker=bad.tar")
        .refuses(1, "PATH_EMPTY");
    assert_eq!(stage.size(), size, "nothing was recorded");
    assert!(!stage.path("up").exists() && !stage.path("../up").exists());
}

/// Goal: a real archive of which one byte changed is refused, wherever it is. Method: skopeo's
/// layout form, a byte in each blob, and a table that names another image than the index.
#[test]
fn a_real_archive_of_which_a_byte_changed_is_refused() {
    if !has_tools("a changed archive", &["skopeo", "umoci"]) {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let folder = stage.path("");
    build(&folder, "1", "one", "--config.user 1000");
    run(
        &folder,
        "skopeo copy -q oci:oci:1 oci-archive:layout.tar:shop:1",
    );
    let whole = fs::read(stage.path("layout.tar")).unwrap();
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
        let mut changed = whole.clone();
        changed[usize::try_from(at + length / 2).unwrap()] ^= 1;
        stage.write("changed.tar", changed);
        let ran = stage.run("record prod --docker=changed.tar");
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.out);
        let ran = ran.refuses(1, "SOURCE_INVALID");
        if name.starts_with("blobs/") {
            ran.says(name).says("has the digest sha256:");
        }
    }
    let parts = parts();
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Sha256::of(bytes));
    let mut both = tar::Archive::new(whole.as_slice());
    let mut tar = Tar::new();
    for entry in both.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
        if !bytes.is_empty() {
            tar = tar.file(&name, bytes);
        }
    }
    let table = json!([{ "Config": blob(&parts.config), "RepoTags": ["shop:1"],
        "Layers": [blob(&parts.layer)] }]);
    let tar = tar
        .file(&blob(&parts.config), &parts.config)
        .file(&blob(&parts.layer), &parts.layer)
        .file("manifest.json", table.to_string());
    stage.write("two.tar", tar.bytes());
    stage
        .run("record prod --docker=two.tar")
        .refuses(1, "SOURCE_INVALID")
        .says("name different images");
    assert_eq!(stage.size(), size, "nothing was recorded");
}

/// What a registry that lies has: a sound image, but for what the repository's name says.
fn lies(path: &str) -> Reply {
    let parts = parts();
    let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
    let mut manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor(CONFIG, &parts.config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &parts.layer)],
    });
    if path.contains("/size/") {
        manifest["config"]["size"] = json!(1);
    }
    if path.contains("/both/") {
        manifest["manifests"] = json!([]);
    }
    let text = manifest.to_string().into_bytes();
    let below = if path.contains("/loop/") {
        // No index can name itself: one that tries names what it is not.
        json!({ "mediaType": INDEX, "digest": format!("sha256:{}", "0".repeat(64)), "size": 300 })
    } else {
        descriptor(MANIFEST, &text)
    };
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [below] });
    let index = index.to_string().into_bytes();
    let found = |kind: &str, bytes: &[u8]| Reply::of("200 OK", kind, bytes);
    let mut reply = if path.contains("/none/") {
        let mut reply = Reply::of("401 Unauthorized", "application/json", "{}");
        let ask = "Bearer realm=\"https://auth.example/token\"".to_owned();
        reply.headers.push(("WWW-Authenticate", ask));
        reply
    } else if path.contains("/around/") {
        let mut reply = Reply::of("307 Temporary Redirect", "text/plain", "");
        reply.headers.push(("Location", path.to_owned()));
        reply
    } else if path.contains("/away/") {
        let mut reply = Reply::of("307 Temporary Redirect", "text/plain", "");
        reply
            .headers
            .push(("Location", "http://169.254.169.254/x".to_owned()));
        reply
    } else if path.contains("/html/") {
        found("text/html", b"<html>")
    } else if path.contains("/huge/") {
        found(MANIFEST, &vec![b' '; 5 << 20])
    } else if path.contains("/busy/") {
        Reply::of("503 Service Unavailable", "text/plain", "")
    } else if path.contains("/blobs/") {
        found(
            CONFIG,
            if path.contains("/blob/") {
                b"{}"
            } else {
                &parts.config
            },
        )
    } else if path.contains("/manifests/1") {
        found(INDEX, &index)
    } else if path.contains("/child/") {
        found(MANIFEST, b"{}")
    } else {
        found(MANIFEST, &text)
    };
    if path.contains("/stated/") {
        let other = format!("sha256:{}", "0".repeat(64));
        reply.headers.push(("Docker-Content-Digest", other));
    }
    if path.contains("/slow/") {
        reply.after = Duration::from_secs(60);
    }
    reply
}

/// Goal: a registry is believed in nothing, and nobody waits for it for ever. Method: one that
/// does each thing wrong in a repository of its own.
#[test]
fn a_registry_that_lies_is_refused_and_one_that_stalls_is_unreachable() {
    let (stage, _ledger) = Stage::with_ledger();
    let address = false_registry(lies);
    let record = |name: &str, tag: &str| {
        stage.run(&format!(
            "record prod --docker=live:{address}/x/{name}/shop{tag}"
        ))
    };
    record("sound", ":1").exits(0);
    let size = stage.size();
    let zeros = format!("sha256:{}", "0".repeat(64));
    for (name, why) in [
        ("stated", zeros.as_str()),
        ("child", "the registry gives sha256:"),
        ("loop", "the registry gives sha256:"),
        ("blob", "the registry gives sha256:"),
        ("size", "as was stated"),
        ("both", "media type"),
        ("html", "text/html"),
        ("huge", "longer than 4 MiB"),
        ("around", "from one address to another"),
        ("away", "leads to http://169.254.169.254"),
    ] {
        record(name, ":1").refuses(1, "SOURCE_INVALID").says(why);
    }
    record("sound", &format!("@{zeros}"))
        .refuses(1, "SOURCE_INVALID")
        .says(&zeros);
    record("none", ":1")
        .refuses(4, "SOURCE_DENIED")
        .says("wants credentials");
    record("busy", ":1").refuses(3, "UNREACHABLE");
    record("slow", ":1")
        .refuses(3, "UNREACHABLE")
        .says("no answer in time");
    stage
        .run("record prod --docker=live:No/Such:")
        .refuses(1, "SOURCE_INVALID");
    let verify = format!("verify prod --docker=live:{address}/x/none/shop:1");
    stage.run(&verify).refuses(4, "SOURCE_DENIED");
    assert_eq!(stage.size(), size, "nothing was recorded");
}
