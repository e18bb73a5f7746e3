//! `--kubernetes=live:dry-run`: the API itself compares, and is a second opinion. kubectl is the
//! real one; the API that it talks to is a stand-in.

use serde_json::json;

use crate::{
    cluster::{Cluster, one, told},
    kubernetes::{APP, CONF, GADGET, SECRET, WEB, deployed, patch},
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
    ran.says("in a dry run: 5; with withheld values, and not put to it: 2");
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

/// Goal: what a type that only the API knows spells in another unit is the same once the API says
/// so; another amount never is, and nor is what it leaves out. Method: a resource that is
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
    // What is left out may mean something, whatever the API says.
    let expected = [&expected[0], &expected[2]];
    assert_eq!(
        cluster.differences(DRY, 10).iter().collect::<Vec<_>>(),
        expected
    );
    patch(&cluster, "widget", "gadget", r#"{"spec": {"max": "2"}}"#);
    let told = cluster.differences(DRY, 10);
    assert!(
        told.contains(&one(GADGET, "spec.max", "changed")),
        "{told:?}"
    );
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

/// Goal: a webhook makes nothing else the same either: no flag that it takes away, no argument and
/// no setting that it spells otherwise. Method: both ways of asking, which must agree.
#[test]
fn what_a_webhook_takes_away_is_never_the_same() {
    let stream = APP
        .replace(
            "        image: nginx:1.27\n",
            "        image: nginx:1.27\n        args: [\"007\"]\n        \
             securityContext: {allowPrivilegeEscalation: false}\n",
        )
        .replace("empty: \"\"}", "empty: \"\", mode: \"0644\"}");
    let Some(cluster) = deployed("a webhook that loosens", &stream) else {
        return;
    };
    cluster.cairn(DRY).exits(0);
    cluster.kube.admits(|admission| admission.loosens = true);
    cluster.kubectl("replace -f rendered.yaml");
    let container = "spec.template.spec.containers[web]";
    let expected = [
        one(WEB, &format!("{container}.args[0]"), "changed"),
        one(WEB, &format!("{container}.securityContext"), "missing"),
        one(CONF, "data.mode", "changed"),
        one(GADGET, "spec.max", "changed"),
    ];
    assert_eq!(cluster.differences(VERIFY, 10), expected);
    assert_eq!(cluster.differences(DRY, 10), expected);
}

/// Goal: of several objects one that the API refuses takes no other along: drift stays drift, a
/// match a match. Method: one refused of many, then that one changed.
#[test]
fn one_that_is_refused_takes_no_other_along() {
    let more = (0..7).map(|number| {
        format!(
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: c{number}, namespace: shop}}\n"
        )
    });
    let stream = format!("{APP}{}", more.collect::<String>());
    let Some(cluster) = deployed("one that is refused", &stream) else {
        return;
    };
    cluster
        .kube
        .admits(|admission| admission.refuses = Some("c3"));
    let ran = cluster.cairn(&format!("{DRY} --output json")).exits(16);
    let report = ran.json("cairn.verify/v1");
    let c3 = "kubernetes/core/ConfigMap/shop/c3";
    assert_eq!(told(&report["differences"]), [one(c3, "", "unverifiable")]);
    assert_eq!(report["objects"], json!({"matched": 11, "total": 12}));
    let said = report["differences"][0]["found"].to_string();
    assert!(said.contains("field is immutable"), "{said}");
    let data = r#"{"data": {"a": "b"}}"#;
    patch(&cluster, "cm", "c3", data);
    cluster.kubectl("scale deployment/web -n shop --replicas=5");
    let expected = [
        one(WEB, "spec.replicas", "changed"),
        one(c3, "data", "added"),
    ];
    assert_eq!(cluster.differences(DRY, 10), expected);
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
