//! Names that stay the same bytes: a version label with a bundle, in the form that needs no tool.

use serde_json::{Value, json};

use crate::{
    docker::{TOOLS, with_images},
    stage::{Ran, Stage},
    support::docker::{has_tools, run},
};

/// Records a bundle of some bytes as version v1 of the shop.
fn record(stage: &Stage, environment: &str, bundle: &str, more: &str) -> Ran {
    stage.write("shop.zip", bundle);
    let deployment = json!({
        "application": "shop", "environment": "shop-prod", "version": "v1",
        "bundle": "shop.zip", "documents": ["options.json"],
    });
    stage.write("deploy.json", deployment.to_string());
    let option = json!({"Namespace": "aws:elasticbeanstalk:command",
        "OptionName": "DeploymentPolicy", "Value": "Immutable"});
    stage.write("options.json", json!([option]).to_string());
    stage.run(&format!(
        "record {environment} --beanstalk=deploy.json {more}"
    ))
}

fn reuses(stage: &Stage) -> Value {
    let audit = stage.run("audit --output json").exits(0);
    audit.json("cairn.audit/v1")["nameReuses"].clone()
}

/// Goal: a name is given to other bytes only with a reason, in whatever environment, also after
/// a restart, and every audit lists it. Method: one label, three bundles.
#[test]
fn a_name_is_given_to_other_bytes_only_with_a_reason() {
    let (stage, ledger) = Stage::with_ledger();
    record(&stage, "prod/shop", "one", "").exits(0);
    record(&stage, "staging/shop", "one", "").exits(0);
    let size = stage.size();
    let refused = record(&stage, "staging/shop", "two", "").refuses(1, "NAME_REUSED");
    refused
        .says("beanstalk/name/version/shop/v1")
        .says("since entry 2")
        .says("--allow-name-reuse");
    assert_eq!(stage.size(), size);
    assert_eq!(reuses(&stage), json!([]));
    // The name is known to a server that starts anew, from its view or from the journal alone.
    drop(ledger);
    let ledger = stage.dev();
    record(&stage, "staging/shop", "two", "").refuses(1, "NAME_REUSED");
    drop(ledger);
    std::fs::remove_dir_all(stage.path("data/data/view")).unwrap();
    let _ledger = stage.dev();
    record(&stage, "staging/shop", "two", "").refuses(1, "NAME_REUSED");
    let why = "--allow-name-reuse built-again";
    record(&stage, "staging/shop", "two", why).exits(0);
    // From now on it is these bytes.
    record(&stage, "prod/shop", "two", "").exits(0);
    record(&stage, "prod/shop", "one", "").refuses(1, "NAME_REUSED");
    stage.run("rollback prod/shop prod/shop~1").exits(0);
    let listed = json!([{"name": "beanstalk/name/version/shop/v1", "index": 6, "before": 2,
        "environment": "staging/shop", "reason": "built-again"}]);
    assert_eq!(reuses(&stage), listed);
    stage
        .run("audit")
        .exits(0)
        .says("Reused")
        .says("built-again");
    let rolled_back = stage.run("show prod/shop").exits(0);
    rolled_back.says("rollback");
}

/// Goal: a tag stands for one configuration, whatever form the image comes in. Method: archives of
/// both forms, of one image and of another under the same tag.
#[test]
fn a_tag_is_given_to_another_image_only_with_a_reason() {
    if !has_tools("a tag of another image", &TOOLS) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    for (form, file, image) in [
        ("oci-archive", "layout.tar", 1),
        ("docker-archive", "shop.tar", 1),
        ("docker-archive", "other.tar", 2),
    ] {
        let copy = format!("skopeo copy -q oci:oci:{image} {form}:{file}:registry.example/shop:1");
        run(&folder, &copy);
    }
    stage.run("record prod --docker=layout.tar").exits(0);
    stage.run("record staging --docker=shop.tar").exits(0);
    let size = stage.size();
    stage
        .run("record test --docker=other.tar")
        .refuses(1, "NAME_REUSED")
        .says("docker/name/configuration/registry.example%2Fshop:1/linux%2Famd64");
    assert_eq!(stage.size(), size);
    let reuse = "record test --docker=other.tar --allow-name-reuse built-again";
    stage.run(reuse).exits(0);
    let audit = stage.run("audit --output json").exits(0);
    let reuses = audit.json("cairn.audit/v1")["nameReuses"].clone();
    assert_eq!(reuses[0]["reason"], "built-again");
}
