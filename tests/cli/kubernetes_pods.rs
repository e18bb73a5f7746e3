//! What runs of a workload: its pods, which the workload itself does not tell. kubectl is the real
//! one; the API that it talks to is a stand-in.

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Told, one},
    docker::{object, with_images},
    kubernetes::{APP, WEB, deployed},
    support::docker::{has_tools, run},
};

const VERIFY: &str = "verify prod/shop --kubernetes";

/// A pod of the Deployment `web`, as a kubelet reports it.
fn pod(name: &str, image: &str, started_from: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "labels": {"app": "web", "tier": "", "pod-template-hash": "7d4b"},
        },
        "spec": {"containers": [{"name": "web", "image": image}]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "web", "image": image, "imageID": started_from}],
        },
    })
}

fn runs(cluster: &Cluster, pod: &Value) {
    cluster.kube.has("", "pods", pod);
}

fn of_web(path: &str) -> Told {
    one(WEB, path, "added")
}

/// Goal: a container that was put into a pod to debug it is drift, and so is a pod of another
/// image; what admission put in is listed; pods that are over, or of others, are not looked at.
/// Method: pods as a kubelet reports them, and kubectl's own `debug`.
#[test]
fn what_pods_run_beside_their_workload_is_told() {
    let Some(cluster) = deployed("pods", APP) else {
        return;
    };
    let tag = "docker.io/library/nginx@sha256:";
    let id = format!("{tag}{}", "1".repeat(64));
    runs(&cluster, &pod("web-1", "nginx:1.27", &id));
    let mut other = pod("other", "evil:1", &id);
    other["metadata"]["labels"]["app"] = "other".into();
    runs(&cluster, &other);
    let mut over = pod("web-0", "nginx:1.26", &id);
    over["status"]["phase"] = "Succeeded".into();
    runs(&cluster, &over);
    let mut injected = pod("web-2", "nginx:1.27", &id);
    let proxy = json!({"name": "proxy", "image": "mesh/proxy:9"});
    injected["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(proxy);
    runs(&cluster, &injected);
    let ran = cluster.cairn(&format!("{VERIFY} --output json")).exits(0);
    let report = ran.json("cairn.verify/v1");
    let listed = report["added"].as_array().unwrap().iter();
    let proxy = listed.filter(|it| it["path"].as_str().unwrap().starts_with("pods"));
    let proxy: Vec<_> = proxy
        .map(|it| (it["path"].as_str(), it["found"].as_str()))
        .collect();
    assert_eq!(
        proxy,
        [(Some("pods.web-2.injected.proxy"), Some("mesh/proxy:9"))]
    );

    let debug = "debug web-1 -n shop --image=evil:1 --container=spy --attach=false";
    cluster.kubectl(debug);
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [of_web("pods.web-1.debugging.spy")]);
    let told = cluster.differences("verify prod/shop --kubernetes=live:dry-run", 10);
    assert_eq!(told, [of_web("pods.web-1.debugging.spy")]);
    runs(&cluster, &pod("web-1", "nginx:1.27", &id));
    cluster.cairn(VERIFY).exits(0);
    runs(&cluster, &pod("web-3", "nginx:1.26", &id));
    let ran = cluster.cairn(VERIFY).exits(10);
    ran.says("pods.web-3.images.web  found nginx:1.26, and not nginx:1.27");
    cluster.kube.forbid("pods");
    let ran = cluster.cairn(VERIFY).exits(0);
    ran.says("what runs in shop was not looked at");
}

/// Goal: where the image's digests were recorded beside the objects, a pod that was started from
/// other bytes is drift, whichever of the digests its kubelet shows. Method: an image by its tag;
/// pods that show its manifest, its configuration, and another image under the same tag.
#[test]
fn a_tag_that_leads_elsewhere_is_drift_where_the_image_was_recorded() {
    if !has_tools("images of pods", &["skopeo", "umoci"]) {
        return;
    }
    let stream = APP.replace("nginx:1.27", "shop:1");
    let Some(cluster) = deployed("images of pods", &stream) else {
        return;
    };
    let (images, _ledger) = with_images();
    let folder = images.path("");
    for layout in ["1", "2"] {
        let to = cluster.stage.path(format!("{layout}.tar"));
        let line = format!(
            "skopeo copy -q oci:oci:{layout} oci-archive:{}:shop:1",
            to.display()
        );
        run(&folder, &line);
    }
    let record = "record prod/shop --kubernetes=rendered.yaml --docker=1.tar";
    cluster.cairn(record).exits(0);
    let recorded = object(&cluster.stage, "prod/shop", "docker/image/shop:1");
    let digest = |member: &str| {
        recorded["platforms"][0][member]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let spelled = [
        format!("docker-pullable://shop@{}", digest("manifest")),
        format!("docker.io/library/shop@{}", digest("manifest")),
        digest("config"),
        format!("docker://{}", digest("config")),
        String::new(),
    ];
    let both = format!("{VERIFY} --docker=1.tar");
    for id in &spelled {
        runs(&cluster, &pod("web-1", "shop:1", id));
        cluster.cairn(&both).exits(0).says("6 of 6 objects");
    }
    let other = cluster.stage.path("2.tar").display().to_string();
    let raw = run(
        &folder,
        &format!("skopeo inspect --raw oci-archive:{other}"),
    );
    let other = cairn_proto::hash::Sha256::of(raw.as_bytes());
    runs(
        &cluster,
        &pod("web-1", "shop:1", &format!("shop@sha256:{other}")),
    );
    let ran = cluster.cairn(&both).exits(10);
    ran.says("pods.web-1.images.web")
        .says(&format!("sha256:{other}, which is no shop:1"));
}
