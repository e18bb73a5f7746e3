//! Staples in other hands: tools that list them, take them along or clean up, archives, and
//! several who staple at once.

use std::fs;

use serde_json::Value;

use crate::{
    stage::Stage,
    staple::{OFFLINE, blob, elsewhere, files, recorded, staples, trust},
    support::docker::{build, has_tools, run},
};

/// Goal: who knows referrers finds a staple, and takes it along; who tidies up leaves it.
/// Method: oras lists and copies, umoci collects garbage and adds a tag; the copy is verified.
#[test]
fn other_tools_list_a_staple_and_take_it_along() {
    if !has_tools("staple_tools", &["umoci", "oras"]) {
        return;
    }
    let (stage, ledger) = Stage::with_ledger();
    let folder = stage.path("");
    build(&folder, "1", "hello", "");
    run(&folder, "umoci gc --layout oci");
    stage.run("record prod/shop oci").exits(0);
    trust(&stage);
    stage.run("export prod/shop --staple oci:1").exits(0);
    let stapled = files(&stage.path("oci"));
    run(&folder, "umoci gc --layout oci");
    assert!(files(&stage.path("oci")) == stapled);

    let [own] = <[Value; 1]>::try_from(staples(&stage)).unwrap();
    let listed = run(&folder, "oras discover --oci-layout oci:1 --format json");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = &listed["manifests"][0];
    for member in ["digest", "size", "artifactType", "annotations"] {
        assert_eq!(listed[member], own[member], "{member}");
    }
    run(
        &folder,
        "oras cp -r --from-oci-layout oci:1 --to-oci-layout copy:1",
    );
    drop(ledger);
    // The bundle that went along is the same.
    let copied = OFFLINE.replace("oci:oci:1", "oci:copy:1");
    elsewhere(&stage, &copied).exits(0).says("VERIFIED");
    run(&folder, "umoci tag --image oci:1 2");
    assert_eq!(staples(&stage), [own]);
    let tagged = OFFLINE.replace("oci:oci:1", "oci:oci:2");
    elsewhere(&stage, &tagged).exits(10).says("index.json");
}

/// Goal: an archive of a stapled layout holds the images that it held before. Method: archives
/// from before and after, and one whose staple is not whole.
#[test]
fn a_staple_in_an_archive_is_no_image_of_it() {
    let (stage, _ledger) = recorded();
    let pack = || {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(".", stage.path("oci")).unwrap();
        stage.write("oci.tar", tar.into_inner().unwrap());
    };
    pack();
    stage.run("record arch/shop --docker=oci.tar").exits(0);
    stage.run("export prod/shop --staple oci:1").exits(0);
    pack();
    stage
        .run("verify arch/shop --docker=oci.tar")
        .exits(0)
        .says("1 of 1 object");
    stage
        .run("record arch/shop --docker=oci.tar")
        .exits(0)
        .says("Unchanged");
    fs::remove_file(stage.path(blob(&staples(&stage)[0]))).unwrap();
    pack();
    let ran = stage.run("verify arch/shop --docker=oci.tar");
    assert_ne!(ran.code, Some(0), "{}", ran.out);
}

/// Goal: who staples at the same time as others loses nothing of theirs. Method: eight at once.
#[test]
fn many_staple_at_once_and_all_are_there() {
    let (stage, _ledger) = recorded();
    let environments: Vec<_> = (0..8).map(|at| format!("prod/shop-{at}")).collect();
    for environment in &environments {
        stage.run(&format!("record {environment} oci")).exits(0);
    }
    std::thread::scope(|scope| {
        for environment in &environments {
            let line = format!("export {environment} --staple oci:1");
            let stage = &stage;
            scope.spawn(move || stage.run(&line).exits(0).says("Stapled"));
        }
    });
    assert_eq!(staples(&stage).len(), environments.len());
    for environment in &environments {
        let line = OFFLINE.replace("prod/shop", environment);
        elsewhere(&stage, &line).exits(0);
    }
}
