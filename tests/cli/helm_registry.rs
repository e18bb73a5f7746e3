//! Charts in a registry, which helm and the registry itself put there; and registries that have
//! something else under a chart's name.

use std::fs;

use cairn_proto::hash::Sha256;
use serde_json::json;

use crate::{
    docker_archives::digest,
    docker_hostile::lies,
    stage::Stage,
    support::docker::{Registry, Reply, false_registry, has_tools, run},
};

fn write_chart(stage: &Stage, replicas: u64) {
    stage.write(
        "chart/Chart.yaml",
        "apiVersion: v2\nname: shop\nversion: 1.2.3+b7\n",
    );
    stage.write("chart/values.yaml", format!("replicas: {replicas}\n"));
}

/// Goal: a chart in a registry is recorded as the package that was pushed, under the digest that
/// the registry knows it by, and its version stays that. Method: helm pushes to a real registry,
/// and then other bytes under the same version.
#[test]
fn a_chart_in_a_registry_is_the_package_that_was_pushed() {
    if !has_tools("a chart in a registry", &["helm", "docker-registry"]) {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let folder = stage.path("");
    let registry = Registry::start(&folder);
    let push = |replicas: u64| {
        write_chart(&stage, replicas);
        run(&folder, "helm package chart");
        let to = format!("oci://{}/charts --plain-http", registry.address);
        run(&folder, &format!("helm push shop-1.2.3+b7.tgz {to}"));
    };
    push(3);
    let record = format!(
        "record prod/shop --helm=live:oci://{}/charts/shop:1.2.3+b7",
        registry.address
    );
    stage.run(&record).exits(0).says("Recorded  prod/shop#1");
    let input = "helm/input/chart/shop-1.2.3+b7.tgz";
    let manifest = "helm/input/chart/shop-1.2.3+b7.oci.json";
    for name in [input, manifest] {
        let to = stage.path("back").join(name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let words = ["restore", "prod/shop", name, "--to", "back"];
        stage.run_words(&words).exits(0);
    }
    let back = |name: &str| fs::read(stage.path("back").join(name)).unwrap();
    assert_eq!(
        back(input),
        fs::read(stage.path("shop-1.2.3+b7.tgz")).unwrap()
    );
    let stored = format!("sha256/{}", &Sha256::of(&back(manifest)).to_string()[..2]);
    let blobs = stage.path("registry/docker/registry/v2/blobs").join(stored);
    let found = fs::read_dir(blobs)
        .unwrap()
        .flatten()
        .any(|it| it.file_name().to_string_lossy() == Sha256::of(&back(manifest)).to_string());
    assert!(found, "the registry knows it by that digest");

    let verify = record.replacen("record", "verify", 1);
    stage
        .run(&verify)
        .refuses(1, "SOURCE_INVALID")
        .says("`--helm` verifies");

    push(4);
    let refused = stage.run(&record).refuses(1, "NAME_REUSED");
    refused.says("helm/name/");
    let line = format!("{record} --allow-name-reuse rebuilt");
    stage.run(&line).exits(0).says("Recorded  prod/shop#2");
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
const CONTENT: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";

/// What a registry has under a chart's name that lies, as the repository's name says.
fn no_chart(path: &str) -> Reply {
    if path.contains("/index/") {
        return lies(path);
    }
    let bytes = b"no package".as_slice();
    if path.contains("/blobs/") {
        return Reply::of("200 OK", CONTENT, bytes);
    }
    let layer =
        |size: usize| json!({ "mediaType": CONTENT, "digest": digest(bytes), "size": size });
    let layers = match path {
        path if path.contains("/two/") => vec![layer(bytes.len()), layer(bytes.len())],
        path if path.contains("/none/") => vec![],
        path if path.contains("/large/") => vec![layer(1 << 40)],
        path if path.contains("/size/") => vec![layer(3)],
        _ => vec![layer(bytes.len())],
    };
    let kind = if path.contains("/image/") {
        "application/vnd.oci.image.config.v1+json"
    } else {
        CONFIG
    };
    let config = json!({ "mediaType": kind, "digest": digest(b"{}"), "size": 2 });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers,
    });
    Reply::of("200 OK", MANIFEST, manifest.to_string())
}

/// Goal: what is no chart is refused by name, whatever the registry calls it, and nothing of it
/// is recorded. Method: a registry that does each thing wrong in a repository of its own.
#[test]
fn what_is_no_chart_is_refused() {
    let (stage, _ledger) = Stage::with_ledger();
    let address = false_registry(no_chart);
    let size = stage.size();
    for (name, why) in [
        ("index", "it is no chart: it is an index"),
        (
            "image",
            "it is no chart: it is a application/vnd.oci.image.config",
        ),
        ("two", "it has not one layer"),
        ("none", "it has not one layer"),
        ("large", "longer than 64 MiB"),
        ("size", "as was stated"),
        ("text", "no chart's package"),
    ] {
        let line = format!("record prod --helm=live:oci://{address}/{name}/shop:1");
        stage.run(&line).refuses(1, "SOURCE_INVALID").says(why);
    }
    let line = format!("record prod --helm=live:oci://{address}/text/shop");
    stage
        .run(&line)
        .refuses(1, "SOURCE_INVALID")
        .says("say which chart");
    assert_eq!(stage.size(), size, "nothing was recorded");
}
