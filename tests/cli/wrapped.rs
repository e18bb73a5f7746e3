//! `cairn run` around the tools themselves: what they deployed is what is recorded.

use crate::{cluster::Cluster, helm::installed, kubernetes::APP, running::releases, stage::Ran};

fn wrap(cluster: &Cluster, line: &str) -> Ran {
    cluster.cairn(&format!("run prod/shop {line}"))
}

/// Goal: what helm upgraded, and what it rolled back, is recorded; what failed is not, and helm's
/// exit code stays. Method: each, with helm itself, and the release verified after each.
#[test]
fn what_helm_deployed_is_recorded() {
    let Some(cluster) = installed("cairn run of helm") else {
        return;
    };
    let verify = "verify prod/shop --helm";
    let before = "--before -- helm upgrade web chart -n shop";
    wrap(&cluster, before)
        .refuses(2, "USAGE")
        .says("after the command");
    // Which release it is does not show.
    for unclear in ["web chart -nshop", "chart -n shop --generate-name"] {
        wrap(&cluster, &format!("-- helm install {unclear}")).refuses(2, "USAGE");
    }
    let upgrade = "-- helm upgrade --install web chart -n shop --reuse-values --set replicas=3";
    let ran = wrap(&cluster, upgrade).exits(0);
    assert!(ran.out.contains("has been upgraded"), "{}", ran.out);
    cluster.cairn(verify).exits(0).says("prod/shop#1");
    wrap(&cluster, "-- helm rollback web 1 -n shop").exits(0);
    cluster.cairn(verify).exits(0).says("prod/shop#2");
    cluster.kube.forbid("clusterroles");
    wrap(&cluster, upgrade).exits(1);
    cluster.kube.allow_all();
    assert_eq!(releases(&cluster.stage).len(), 2);
    cluster.cairn(verify).exits(10);
}

/// Goal: what kubectl applied is recorded; recorded first and then failed, what stood before is
/// recorded again, with the exit code as reason. Method: kubectl itself, and an API that refuses.
#[test]
fn what_kubectl_applied_is_recorded() {
    let Some(cluster) = Cluster::start("cairn run of kubectl") else {
        return;
    };
    let verify = "verify prod/shop --kubernetes";
    cluster.stage.write("rendered.yaml", APP);
    wrap(&cluster, "-- kubectl apply -f rendered.yaml").exits(0);
    cluster.cairn(verify).exits(0).says("prod/shop#1");
    cluster
        .stage
        .edit("rendered.yaml", "replicas: 3", "replicas: 4");
    // Where it goes does not show from the file.
    for elsewhere in [
        "-n shop",
        "--context=other",
        "--kubeconfig k",
        "-nshop",
        "--edit",
    ] {
        let line = format!("-- kubectl apply {elsewhere} -f rendered.yaml");
        wrap(&cluster, &line).refuses(2, "USAGE");
    }
    wrap(&cluster, "-- kubectl apply -f none.yaml").refuses(2, "USAGE");
    let before = "--before -- kubectl apply -f rendered.yaml";
    wrap(&cluster, before).exits(0);
    cluster.cairn(verify).exits(0).says("prod/shop#2");
    cluster
        .stage
        .edit("rendered.yaml", "replicas: 4", "replicas: 5");
    cluster.kube.forbid("deployments");
    wrap(&cluster, before).exits(1);
    cluster.kube.allow_all();
    let all = releases(&cluster.stage);
    let last = all.last().unwrap();
    assert_eq!((all.len(), last.0.as_str()), (4, "rollback"), "{all:?}");
    let reason = last.1.as_deref().unwrap_or_default();
    assert!(reason.contains("exit code 1"), "{reason}");
    cluster.cairn(verify).exits(0).says("prod/shop#4");
}
