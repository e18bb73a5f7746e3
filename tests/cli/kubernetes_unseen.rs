//! What of a workload cannot be seen is no match.

use crate::{
    cluster::one,
    kubernetes::{APP, WEB, deployed},
    kubernetes_pods::{ID, of_web, pod, runs, with_replica_sets},
};

const VERIFY: &str = "verify prod/shop --kubernetes";

/// Goal: what cannot be looked at is unverifiable, unless who signed says that it may be; and who
/// has webhooks that rewrite images may say so, which hides no debugging. Method: pods that nobody
/// may list; a pod of another image that is ignored; the one and the other.
#[test]
fn what_cannot_be_looked_at_is_unverifiable_and_images_can_be_left_to_a_webhook() {
    let Some(cluster) = deployed("pods that nobody may list", APP) else {
        return;
    };
    with_replica_sets(&cluster);
    for resource in ["pods", "replicasets"] {
        cluster.kube.forbid(resource);
        let ran = cluster.cairn(VERIFY).exits(16);
        ran.says("its pods cannot be looked at")
            .says("could not be measured");
        cluster.kube.allow_all();
    }
    // A withheld value makes it no difference.
    let key = "-----BEGIN PRIVATE KEY-----swordfish-----END PRIVATE KEY-----";
    let labels = "labels: {app: web}}\nspec:\n  replicas";
    let annotated = format!("annotations: {{key: '{key}'}}, {labels}");
    let stream = APP.replacen(labels, &annotated, 1);
    assert_ne!(stream, APP);
    cluster.stage.write("rendered.yaml", &stream);
    cluster.kubectl("apply -f rendered.yaml");
    cluster
        .cairn("record prod/shop --kubernetes=rendered.yaml")
        .exits(0);
    cluster.cairn(VERIFY).exits(0);
    cluster.kube.forbid("pods");
    cluster.cairn(VERIFY).exits(16);
    cluster.kube.allow_all();
    // What differs by itself is drift, whatever its pods.
    cluster.kube.forbid("pods");
    cluster.kubectl("scale deployment/web -n shop --replicas=5");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(WEB, "spec.replicas", "changed")]);
    cluster.kubectl("scale deployment/web -n shop --replicas=3");
    cluster.kube.allow_all();
    let ignore = format!("--ignore {WEB}#/pods/images");
    let record = format!("record prod/shop --kubernetes=rendered.yaml {ignore}");
    cluster.cairn(&record).exits(0);
    runs(&cluster, &pod("web-1", "new", "mirror/nginx:1.27", ID));
    cluster.cairn(VERIFY).exits(0).says("1 field ignored");
    let debug = "debug web-1 -n shop --image=evil:1 --container=spy --attach=false";
    cluster.kubectl(debug);
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [of_web("debugging", "web-1/spy")]);
}
