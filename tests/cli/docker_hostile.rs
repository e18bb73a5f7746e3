//! Registries that nobody should believe: each lie is refused by name, and nothing of it is
//! recorded.

use std::time::Duration;

use serde_json::json;

use crate::{
    docker_archives::{digest, parts},
    stage::Stage,
    support::docker::{Reply, false_registry},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What a registry that lies has: a sound image, but for what the repository's name says.
pub(crate) fn lies(path: &str) -> Reply {
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
        let ask = "Basic realm=\"a registry\"".to_owned();
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
        reply.after = Duration::from_mins(1);
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
        .says("wants credentials, and none are kept for 127.0.0.1");
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
