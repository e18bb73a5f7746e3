//! Images that are recorded from archives, registries and files of digests: all digests of
//! each, from raw bytes. Archives and registry are those of the real tools.

use std::{
    fs::{self, File},
    io::Write as _,
};

use cairn_proto::hash::Sha256;
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{
    kept::holds,
    stage::{Ledger, Stage},
    support::docker::{Registry, build, has_tools, join, run},
};

pub(crate) const TOOLS: [&str; 2] = ["skopeo", "umoci"];

/// The recorded text of an object.
pub(crate) fn object(stage: &Stage, environment: &str, name: &str) -> Value {
    let restored = stage.path("restored");
    let _ = fs::remove_dir_all(&restored);
    fs::create_dir(&restored).unwrap();
    let words = ["restore", environment, name, "--to", "restored"];
    stage.run_words(&words).exits(0);
    serde_json::from_slice(&fs::read(restored.join(name)).unwrap()).unwrap()
}

/// A ledger, and the layout `oci` with the images `1` and `2`.
pub(crate) fn with_images() -> (Stage, Ledger) {
    let (stage, ledger) = Stage::with_ledger();
    build(&stage.path(""), "1", "one", "--config.user 1000");
    build(&stage.path(""), "2", "two", "--config.user 1000");
    (stage, ledger)
}

/// Goal: one image has one identity, in whatever archive it comes; another image under the same
/// name is told by its configuration. Method: skopeo's two forms, one of them packed by gzip,
/// and one on standard input.
#[test]
fn an_image_is_the_same_in_archives_of_both_forms() {
    if !has_tools("archives", &TOOLS) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    run(
        &folder,
        "skopeo copy -q oci:oci:1 docker-archive:shop.tar:shop:1",
    );
    run(
        &folder,
        "skopeo copy -q oci:oci:1 oci-archive:layout.tar:shop:1",
    );
    run(
        &folder,
        "skopeo copy -q oci:oci:2 docker-archive:other.tar:shop:1",
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed
        .write_all(&fs::read(stage.path("shop.tar")).unwrap())
        .unwrap();
    stage.write("shop.tar.gz", packed.finish().unwrap());

    stage
        .run("record prod --docker=layout.tar")
        .exits(0)
        .says("Read      1 object, 2 inputs");
    let image = object(&stage, "prod", "docker/image/shop:1");
    let raw = run(&folder, "skopeo inspect --raw oci:oci:1");
    let config = run(&folder, "skopeo inspect --raw --config oci:oci:1");
    let platform = &image["platforms"][0];
    let digest = |text: &str| format!("sha256:{}", Sha256::of(text.as_bytes()));
    assert_eq!(platform["manifest"], digest(&raw));
    assert_eq!(platform["config"], digest(&config));
    assert_eq!(platform["platform"], "linux/amd64");
    assert_eq!(image["index"], Value::Null);
    let manifest: Value = serde_json::from_str(&raw).unwrap();
    assert_eq!(
        platform["layers"][0]["digest"],
        manifest["layers"][0]["digest"]
    );

    stage.run("verify prod --docker=layout.tar").exits(0);
    for other in ["shop.tar", "shop.tar.gz"] {
        stage
            .run(&format!("verify prod --docker={other}"))
            .exits(0)
            .says("compared by the digests of its configurations");
    }
    let bytes = fs::read(stage.path("shop.tar")).unwrap();
    stage.feed("verify prod --docker=-", &bytes).exits(0);
    stage
        .run("verify prod --docker=other.tar")
        .exits(10)
        .says("docker/image/shop:1  platforms[linux/amd64].config");

    stage.run("record classic --docker=shop.tar").exits(0);
    stage.run("verify classic --docker=layout.tar").exits(0);
    stage.run("verify classic --docker=other.tar").exits(10);
    stage
        .run("record prod --docker=oci")
        .refuses(1, "SOURCE_INVALID")
        .says("recorded as a path");
}

/// Goal: an archive that is named as a path is an image, unless it was given a name or recorded
/// as a file; no other archive is. Method: each, and a tar with a web page's `manifest.json`.
#[test]
fn an_archive_of_images_is_known_by_what_it_holds() {
    if !has_tools("archives by path", &TOOLS) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    for (layout, archive) in [
        ("1", "docker-archive:shop.tar"),
        ("1", "oci-archive:layout.tar"),
        ("2", "docker-archive:other.tar"),
    ] {
        let line = format!("skopeo copy -q oci:oci:{layout} {archive}:shop:1");
        run(&folder, &line);
    }
    let ran = stage.run("record prod shop.tar").exits(0);
    ran.says("1 object")
        .says("read as --docker=shop.tar; NAME=shop.tar is the file itself");
    for same in ["shop.tar", "layout.tar"] {
        let ran = stage.run(&format!("verify prod {same}")).exits(0);
        ran.says("1 of 1 object");
    }
    let ran = stage.run("verify prod other.tar").exits(10);
    ran.says("platforms[linux/amd64].config")
        .says("docker load, of the archives that prod was made from");
    let ran = stage.run("record file shop.tar=shop.tar").exits(0);
    ran.says("1 file");
    for given in ["shop.tar", "shop.tar=shop.tar"] {
        let ran = stage.run(&format!("verify file {given}")).exits(0);
        ran.says("1 of 1 file");
    }
    // Together with a directory, which is named as it would be without the archive.
    stage.write("dist/app.conf", "a: 1\n");
    fs::copy(stage.path("shop.tar"), stage.path("dist/shop.tar")).unwrap();
    stage.run("record both dist dist/shop.tar").exits(0);
    let ran = stage.run("verify both dist dist/shop.tar").exits(0);
    ran.says("2 of 2 files, 1 of 1 object");
    let ran = stage.run("verify prod other.tar").exits(10);
    assert!(
        !ran.out.contains("--to"),
        "the tool puts it back: {}",
        ran.out
    );
}

/// Goal: an archive in which anything lies that no image has is a file, since nobody would look at
/// that. Method: a script in it, behind it, and under another's name; a web page's `manifest.json`;
/// headers that promise more than anybody would read.
#[test]
fn an_archive_of_anything_else_is_a_file() {
    if !has_tools("other archives by path", &TOOLS) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    let line = "skopeo copy -q oci:oci:1 docker-archive:shop.tar:shop:1";
    run(&folder, line);
    run(&folder, "cp shop.tar more.tar");
    stage.write("install.sh", "true\n");
    run(&folder, "tar rf more.tar install.sh");
    stage.run("record more more.tar").exits(0).says("1 file");
    // The same behind the end, and a name that is another one than it seems.
    let mut behind = fs::read(stage.path("shop.tar")).unwrap();
    behind.extend(b"#!/bin/sh");
    stage.write("behind.tar", behind);
    let ran = stage.run("record behind behind.tar").exits(0);
    ran.says("1 file");
    run(
        &folder,
        "tar --format=pax --pax-option=path:=evil.sh -cf renamed.tar oci/oci-layout",
    );
    stage
        .run("record renamed renamed.tar")
        .exits(0)
        .says("1 file");
    // A header that promises more than anybody would read, and one that promises all.
    let mut header = tar::Header::new_gnu();
    header.set_path("oci-layout").unwrap();
    header.set_size(u64::MAX);
    header.set_cksum();
    stage.write("endless.tar", header.as_bytes());
    stage
        .run("record endless endless.tar")
        .exits(0)
        .says("1 file");
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_path("././@LongLink").unwrap();
    header.set_size(64 << 30);
    header.set_cksum();
    let hostile = File::create(stage.path("hostile.tar")).unwrap();
    (&hostile).write_all(header.as_bytes()).unwrap();
    hostile.set_len(8 << 20).unwrap();
    stage
        .run("record hostile hostile.tar")
        .exits(0)
        .says("1 file");
    fs::create_dir(stage.path("page")).unwrap();
    for (name, text) in [("manifest.json", "{\"name\": \"page\"}"), ("a", "[]")] {
        stage.write(&format!("page/{name}"), text);
    }
    run(&folder, "tar cf page.tar -C page .");
    stage.run("record web page.tar").exits(0).says("1 file");
}

/// Goal: what an image's configuration has in its variables and in the steps of its build goes
/// nowhere. Method: a password in one, and everything searched for it.
#[test]
fn a_secret_in_a_configuration_is_withheld() {
    if !has_tools("a secret in a configuration", &TOOLS) {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let folder = stage.path("");
    let config = "--config.env DB_PASS=hunter2-planted --config.label a=b";
    build(&folder, "1", "one", config);
    run(
        &folder,
        "skopeo copy -q oci:oci:1 oci-archive:layout.tar:shop:1",
    );
    assert!(holds(&stage.path("oci"), b"hunter2-planted"));
    stage
        .run("record prod --docker=layout.tar")
        .exits(0)
        .says("withheld  1 artifact");
    stage.run("verify prod --docker=layout.tar").exits(0);
    stage.keeps_nowhere("hunter2-planted", "sha256:");
}

/// Goal: a tag that a registry moved to other bytes is drift, named by the index's digest, and
/// what a reference pins by digest stays. Method: a real registry, and images of two platforms
/// that skopeo pushes.
#[test]
fn a_tag_that_was_moved_in_a_registry_is_drift() {
    let tools = ["skopeo", "umoci", "docker-registry"];
    if !has_tools("a registry", &tools) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    let registry = Registry::start(&folder);
    for (tag, text) in [("arm1", "arm one"), ("arm2", "arm two")] {
        build(&folder, tag, text, "--architecture arm64");
    }
    join(&folder, "all1", &["1", "arm1"]);
    join(&folder, "all2", &["2", "arm1"]);
    let shop = format!("{}/team/shop:1", registry.address);
    let push = |tag: &str| {
        let line =
            format!("skopeo copy -q --all --dest-tls-verify=false oci:oci:{tag} docker://{shop}");
        run(&folder, &line);
    };
    push("all1");
    let record = format!("record prod --docker=live:{shop}");
    stage.run(&record).exits(0).says("1 object, 5 inputs");
    let name = format!("docker/image/{}", shop.replace('/', "%2F"));
    let image = object(&stage, "prod", &name);
    let inspect = format!("skopeo inspect --raw --tls-verify=false docker://{shop}");
    let index = format!("sha256:{}", Sha256::of(run(&folder, &inspect).as_bytes()));
    assert_eq!(image["index"], index.as_str());
    assert_eq!(image["platforms"][0]["platform"], "linux/amd64");
    assert_eq!(image["platforms"][1]["platform"], "linux/arm64");
    let verify = format!("verify prod --docker=live:{shop}");
    stage.run(&verify).exits(0).says("1 of 1 object");
    let ran = stage.run("rollback prod prod#1").exits(0);
    let by_digest = format!("{}/team/shop@{index}", registry.address);
    ran.says(&format!(
        "docker pull {by_digest} && docker tag {by_digest} {shop}"
    ));

    // Of two platforms, Docker's archive has one.
    let line = format!("skopeo copy -q oci:oci:1 docker-archive:amd64.tar:{shop}");
    run(&folder, &line);
    stage
        .run("verify prod --docker=amd64.tar")
        .exits(16)
        .says("not all of it can be compared");
    let pinned = format!("{}/team/shop@{index}", registry.address);
    stage
        .run(&format!("record pin --docker=live:{pinned}"))
        .exits(0);
    push("all2");
    let moved = stage.run(&verify).exits(10).says("index  recorded sha256:");
    moved
        .says("platforms[linux/amd64].config")
        .says("platforms[linux/amd64].manifest");
    stage
        .run(&format!("verify pin --docker=live:{pinned}"))
        .exits(0);
    let lost = format!("verify prod --docker=live:{}/team/none:1", registry.address);
    stage
        .run(&lost)
        .refuses(1, "SOURCE_INVALID")
        .says("no such image");
    drop(registry);
    stage.run(&verify).refuses(3, "UNREACHABLE");
    stage.run(&record).refuses(3, "UNREACHABLE");
}

/// Goal: digests that a tool states are recorded as such, compared with what a registry has,
/// and nothing else of buildx's file is taken. Method: skopeo's digest file of a real push, and
/// the file that buildx writes, with a build argument that is a secret.
#[test]
fn digests_that_tools_state_are_compared_with_the_registry() {
    let tools = ["skopeo", "umoci", "docker-registry"];
    if !has_tools("files of digests", &tools) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    let registry = Registry::start(&folder);
    let shop = format!("{}/team/shop:1", registry.address);
    let push = |tag: &str| {
        let line = format!(
            "skopeo copy -q --digestfile shop.digest --dest-tls-verify=false oci:oci:{tag} docker://{shop}"
        );
        run(&folder, &line);
    };
    push("1");
    stage
        .run("record line --docker=shop.digest")
        .exits(0)
        .says("no bytes are at hand");
    stage.run("verify line --docker=shop.digest").exits(0);
    let config = run(&folder, "skopeo inspect --raw --config oci:oci:1");
    let digest = stage.text("shop.digest").trim().to_owned();
    let metadata = json!({
        "buildx.build.provenance": { "invocation": { "parameters": { "args": {
            "build-arg:NPM": "hunter2-planted",
        } } } },
        "containerimage.config.digest": format!("sha256:{}", Sha256::of(config.as_bytes())),
        "containerimage.descriptor": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": 1,
            "platform": { "architecture": "amd64", "os": "linux" },
        },
        "containerimage.digest": digest,
        "image.name": shop,
    });
    stage.write("build.json", metadata.to_string());
    stage.run("record prod --docker=build.json").exits(0);
    stage.keeps_nowhere("hunter2-planted", "sha256:");
    let verify = format!("verify prod --docker=live:{shop}");
    stage.run(&verify).exits(0);
    // By its manifest alone, this archive cannot be told from any other.
    run(&folder, "skopeo copy -q oci:oci:1 docker-archive:shop.tar");
    stage
        .run("verify line --docker=shop.tar")
        .exits(16)
        .says("not all of it can be compared");
    push("2");
    stage
        .run(&verify)
        .exits(10)
        .says("platforms[unknown].manifest")
        .says("platforms[unknown].config");
    stage
        .run("verify line --docker=shop.digest")
        .exits(10)
        .says("digest  recorded sha256:");
    stage.edit("build.json", &digest, &format!("sha256:{}", "0".repeat(64)));
    stage
        .run("record prod --docker=build.json")
        .refuses(1, "SOURCE_INVALID")
        .says("another digest");
    File::create(stage.path("empty")).unwrap();
    stage
        .run("record prod --docker=empty")
        .refuses(1, "PATH_EMPTY");
}
