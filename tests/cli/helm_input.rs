//! What `--helm` is given and must not take. None of it needs helm.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::stage::Stage;

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut zip = GzEncoder::new(Vec::new(), Compression::best());
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap()
}

fn secret(packed: &[u8]) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
        "metadata": {"name": "sh.helm.release.v1.web.v1", "namespace": "shop"},
        "data": {"release": STANDARD.encode(packed)},
    })
}

fn release() -> Value {
    json!({
        "name": "web", "namespace": "shop", "version": 1, "info": {"status": "deployed"},
        "chart": {"metadata": {"name": "shop", "version": "1.2.3"}},
        "config": {"password": "swordfish-4711"}, "manifest": "",
    })
}

fn packed(release: &Value) -> Value {
    secret(
        STANDARD
            .encode(zipped(release.to_string().as_bytes()))
            .as_bytes(),
    )
}

fn changed(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut value = release();
    change(&mut value);
    packed(&value).to_string().into()
}

/// A package as anybody could write it: tar's own library would refuse some of these names.
fn package(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    zipped(&tar.into_inner().unwrap())
}

/// A Secret that holds some bytes, packed as Helm does it the second time.
fn of(bytes: &[u8]) -> Vec<u8> {
    let text = STANDARD.encode(bytes);
    secret(text.as_bytes()).to_string().into_bytes()
}

/// A good Secret with one other value.
fn other(pointer: &str, value: Value) -> Vec<u8> {
    let mut secret = packed(&release());
    *secret.pointer_mut(pointer).unwrap() = value;
    secret.to_string().into_bytes()
}

fn cut(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 12].to_vec()
}

/// Secrets that do not hold what they should.
fn bad_packing() -> Vec<(&'static str, Vec<u8>)> {
    let good = packed(&release()).to_string();
    let zip = zipped(release().to_string().as_bytes());
    let bomb = zipped(&vec![b' '; 80 << 20]);
    let often = STANDARD.encode(STANDARD.encode(STANDARD.encode(STANDARD.encode(&zip))));
    let twice = release().to_string();
    let twice = twice.replacen("\"name\"", "\"name\":\"x\",\"name\"", 1);
    vec![
        ("nothing", Vec::new()),
        ("a Secret that is cut", cut(good.as_bytes())),
        ("two Secrets", format!("{good}{good}").into()),
        ("no base64", secret(b"swordfish-4711!").to_string().into()),
        ("no gzip, no JSON", of(b"swordfish-4711")),
        ("gzip that is cut", of(&cut(&zip))),
        ("gzip that is damaged", of(&[&zip[..40], &[7; 40]].concat())),
        ("a bomb", of(&bomb)),
        ("a bomb alone", bomb),
        ("no JSON", of(&zipped(b"{swordfish-4711"))),
        ("a member twice", of(&zipped(twice.as_bytes()))),
        ("packed too often", often.into()),
    ]
}

/// Secrets and releases that are not what they say.
fn bad_releases() -> Vec<(&'static str, Vec<u8>)> {
    let v2 = "sh.helm.release.v1.web.v2";
    let list = json!({"kind": "List", "items": []}).to_string();
    let some = json!(["swordfish-4711"]);
    let option = || "--kubeconfig=x".into();
    let pending = || "pending-upgrade".into();
    let hook = || json!([{"name": "x"}]);
    let tag = |it: &mut Value| it["chart"]["metadata"]["name"] = "cairn:withheld:x".into();
    vec![
        ("another Secret", other("/type", "Opaque".into())),
        ("another revision", other("/metadata/name", v2.into())),
        ("another place", other("/metadata/namespace", "prod".into())),
        ("another kind", other("/kind", "Pod".into())),
        ("an empty list", list.into()),
        ("an option", changed(|it| it["name"] = option())),
        ("a path", changed(|it| it["namespace"] = "../shop".into())),
        ("no chart", changed(|it| it["chart"] = Value::Null)),
        ("no status", changed(|it| it["info"] = Value::Null)),
        ("no values", changed(|it| it["config"] = some.clone())),
        ("a cut hook", changed(|it| it["hooks"] = hook())),
        ("a status", changed(|it| it["info"]["status"] = pending())),
        ("a tag", changed(tag)),
    ]
}

/// Packages of charts that are none.
fn bad_charts() -> Vec<(&'static str, Vec<u8>)> {
    let chart = b"name: shop\nversion: 1.2.3\n";
    let whole = package(&[("shop/Chart.yaml", chart)]);
    let large = vec![b' '; 17 << 20];
    let twice = [("shop/Chart.yaml", &chart[..]), ("web/Chart.yaml", chart)];
    vec![
        ("a chart that is cut", cut(&whole)),
        ("a way out", package(&[("../Chart.yaml", chart)])),
        ("no name", package(&[("shop/values.yaml", chart)])),
        ("two names", package(&twice)),
        ("a file that swells", package(&[("shop/x", &large)])),
        ("no YAML", package(&[("shop/Chart.yaml", b"[swordfish")])),
        ("half a name", package(&[("shop/Chart.yaml", b"name: x")])),
    ]
}

/// Goal: input that is cut, swells, or is not what it says is refused by name, and nothing is
/// recorded or printed of it. Method: some of each sort.
#[test]
fn a_bad_release_or_chart_records_nothing() {
    let (stage, _ledger) = Stage::with_ledger();
    let before = stage.size();
    let bad = [bad_packing(), bad_releases(), bad_charts()].concat();
    for (what, bytes) in bad {
        stage.write("bad", bytes);
        let ran = stage.run("record prod/shop --helm=bad");
        let (code, said) = (ran.code, ran.err);
        assert!(said.contains("[SOURCE_INVALID]"), "{what}: {said}");
        assert_eq!(code, Some(1), "{what}");
        assert!(!said.contains("swordfish"), "{what}: {said}");
    }
    for what in ["--helm", "--helm=live:web", "--helm=live:shop/--help"] {
        let ran = stage.run(&format!("record prod/shop {what}"));
        ran.refuses(1, "SOURCE_INVALID");
    }
    assert_eq!(stage.size(), before);
}
