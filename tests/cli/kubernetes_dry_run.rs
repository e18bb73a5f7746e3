//! `--kubernetes=live:dry-run`: the API itself compares, and is a second opinion. kubectl is the
//! real one; the API that it talks to is a stand-in.

use crate::{
    cluster::{Cluster, one},
    kubernetes::{APP, GADGET, SECRET, WEB, deployed, patch},
};

const DRY: &str = "verify prod/shop --kubernetes=live:dry-run";
const VERIFY: &str = "verify prod/shop --kubernetes";

/// Goal: in both ways what was applied is a match and what was changed is named; nothing is
/// stored by asking. Method: the same cluster asked in both ways, with and without a change.
#[test]
fn what_was_changed_is_named_and_nothing_is_stored() {
    let Some(cluster) = deployed("a dry run", &format!("{APP}{SECRET}")) else {
        return;
    };
    let before = cluster.kube.object("deployments", "shop", "web");
    let ran = cluster.cairn(DRY).exits(0).says("7 of 7 objects");
    ran.says("compared by the API itself, in a dry run: 5; as a part of what is live: 2");
    assert_eq!(cluster.kube.object("deployments", "shop", "web"), before);
    cluster.kubectl("scale deployment/web -n shop --replicas=5");
    patch(
        &cluster,
        "secret",
        "db",
        r#"{"stringData": {"password": "x"}}"#,
    );
    let told = cluster.differences(DRY, 10);
    let db = "kubernetes/core/Secret/shop/db";
    let expected = [
        one(WEB, "spec.replicas", "changed"),
        one(db, "data.password", "changed"),
    ];
    assert_eq!(told, expected);
    let spy =
        r#"{"spec": {"template": {"spec": {"containers": [{"name": "spy", "image": "spy:1"}]}}}}"#;
    patch(&cluster, "deploy", "web", spy);
    let told = cluster.differences(DRY, 10);
    let spy = one(WEB, "spec.template.spec.containers[spy]", "added");
    assert!(told.contains(&spy), "{told:?}");
    cluster
        .cairn("verify prod/shop --kubernetes=live:other")
        .refuses(1, "SOURCE_INVALID")
        .says("live:dry-run");
}

/// Goal: what a type that only the API knows spells otherwise, or leaves out since it is empty,
/// is the same once the API says so; another amount never is. Method: a resource that is
/// converted, asked in both ways, then changed.
#[test]
fn the_api_says_what_its_types_spell_otherwise() {
    let Some(cluster) = Cluster::start("a type that only the API knows") else {
        return;
    };
    cluster.kube.admits(|admission| admission.converts = true);
    cluster.stage.write("rendered.yaml", APP);
    cluster.kubectl("apply -f rendered.yaml");
    let record = "record prod/shop --kubernetes=rendered.yaml";
    cluster.cairn(record).exits(0);
    let told = cluster.differences(VERIFY, 10);
    let expected = [
        one(GADGET, "spec.debug", "missing"),
        one(GADGET, "spec.max", "changed"),
        one(GADGET, "spec.selfSigned", "missing"),
    ];
    assert_eq!(told, expected);
    cluster.cairn(DRY).exits(0).says("5 of 5 objects");
    patch(&cluster, "widget", "gadget", r#"{"spec": {"max": "2"}}"#);
    let told = cluster.differences(DRY, 10);
    assert_eq!(told, [one(GADGET, "spec.max", "changed")]);
}

/// Goal: a webhook's word makes no image the recorded one, and what the API would change is no
/// match though it looks the same. Method: a webhook that rewrites images, before and after.
#[test]
fn what_a_webhook_writes_is_never_what_was_recorded() {
    let Some(cluster) = deployed("a webhook", APP) else {
        return;
    };
    cluster
        .kube
        .admits(|admission| admission.mirror = Some("evil.example"));
    cluster.cairn(VERIFY).exits(0);
    let ran = cluster.cairn(DRY).exits(16);
    ran.says("the API would change spec.template.spec.containers[web].image");
    cluster.kubectl("apply -f rendered.yaml");
    let image = one(WEB, "spec.template.spec.containers[web].image", "changed");
    let both = [DRY, VERIFY].map(|line| cluster.differences(line, 10));
    assert_eq!(both, [[image.clone()], [image]]);
}

/// Goal: what the API does not say is unverifiable, and what is ignored stays ignored. Method:
/// nobody may patch any more; then a field that varies.
#[test]
fn who_may_not_ask_is_told_so_and_what_is_ignored_stays_so() {
    let Some(cluster) = deployed("who may not patch", APP) else {
        return;
    };
    let line = format!("record prod/shop --kubernetes=rendered.yaml --ignore {WEB}#/spec/replicas");
    cluster.cairn(&line).exits(0);
    cluster.kubectl("scale deployment/web -n shop --replicas=7");
    cluster.cairn(DRY).exits(0).says("1 field ignored");
    cluster.kube.forbid("PATCH");
    let ran = cluster.cairn(DRY).exits(16);
    ran.says("is forbidden");
    cluster.cairn(VERIFY).exits(0);
}
