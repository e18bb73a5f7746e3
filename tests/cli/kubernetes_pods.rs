//! What runs of a workload: its pods, which the workload itself does not tell. kubectl is the real
//! one; the API that it talks to is a stand-in.

use cairn_proto::hash::Sha256;
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Told, one},
    docker::{object, with_images},
    kubernetes::{APP, WEB, deployed},
    support::docker::{Registry, build, has_tools, join, run},
};

const VERIFY: &str = "verify prod/shop --kubernetes";
pub(crate) const ID: &str = "docker.io/library/nginx@sha256:\
                  1111111111111111111111111111111111111111111111111111111111111111";

/// A pod of the Deployment `web`, as a kubelet reports it; `owner` is the uid of its set.
pub(crate) fn pod(name: &str, owner: &str, image: &str, started_from: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
            "labels": {"app": "web", "tier": "", "pod-template-hash": owner}, "annotations": null,
            "ownerReferences": [{"kind": "ReplicaSet", "uid": owner, "controller": true}],
        },
        "spec": {"containers": [{"name": "web", "image": image}], "initContainers": null},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": "web", "image": image, "imageID": started_from}],
        },
    })
}

pub(crate) fn runs(cluster: &Cluster, pod: &Value) {
    cluster.kube.has("", "pods", pod);
}

/// The replica sets `old` and `new` of the Deployment `web`, of which the second is current.
pub(crate) fn with_replica_sets(cluster: &Cluster) {
    let web = cluster.kube.object("deployments", "shop", "web");
    let metadata = &web["metadata"];
    let newest = &metadata["annotations"]["deployment.kubernetes.io/revision"];
    assert!(newest.is_string(), "{web}");
    for (name, revision) in [("old", &json!("0")), ("new", newest)] {
        let set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": "shop", "uid": name, "resourceVersion": "1",
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [
                    {"kind": "Deployment", "uid": metadata["uid"], "controller": true},
                ],
            },
            "spec": {"selector": {"matchLabels": {"app": "web"}}},
        });
        cluster.kube.has("apps", "replicasets", &set);
    }
}

pub(crate) fn of_web(sort: &str, container: &str) -> Told {
    one(WEB, &format!("pods.{sort}[\"{container}\"]"), "added")
}

/// What is listed of pods and is no difference.
fn listed(cluster: &Cluster) -> Vec<(String, String)> {
    let ran = cluster.cairn(&format!("{VERIFY} --output json")).exits(0);
    let report = ran.json("cairn.verify/v1");
    let all = report["added"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let all = all.map(|it| (text(&it["path"]), text(&it["found"])));
    all.filter(|it| it.0.starts_with("pods")).collect()
}

/// Goal: a container that was put into a pod to debug it is drift, and so is a pod of another
/// image than the template's; what admission put in, and what an older revision still runs, is
/// listed; pods that are over, or of others with the same labels, are not looked at. Method: pods as
/// a kubelet reports them, and kubectl's own `debug`.
#[test]
fn what_pods_run_beside_their_workload_is_told() {
    let Some(cluster) = deployed("pods", APP) else {
        return;
    };
    with_replica_sets(&cluster);
    let good = pod("web-1", "new", "nginx:1.27", ID);
    runs(&cluster, &good);
    runs(&cluster, &pod("other", "another", "evil:1", ID));
    let mut over = pod("web-0", "new", "nginx:1.26", ID);
    over["status"]["phase"] = "Succeeded".into();
    runs(&cluster, &over);
    cluster.cairn(VERIFY).exits(0);
    assert_eq!(listed(&cluster), []);
    for name in ["web-2", "web-3"] {
        let mut injected = pod(name, "new", "nginx:1.27", ID);
        let proxy = json!({"name": "proxy", "image": "mesh/proxy:9"});
        injected["spec"]["initContainers"] = json!([proxy]);
        runs(&cluster, &injected);
    }
    runs(&cluster, &pod("web-9", "old", "nginx:1.26", ID));
    let expected = [
        ("pods.injected[\"proxy mesh/proxy:9\"]", "in pods: 2"),
        ("pods.older[\"web nginx:1.26\"]", "in pods: 1"),
    ];
    let expected = expected.map(|(path, found)| (path.to_owned(), found.to_owned()));
    assert_eq!(listed(&cluster), expected);
    let ran = cluster.cairn(VERIFY).exits(0);
    ran.says("admission put into pods mesh/proxy:9, in 2")
        .says("older revisions, or what is ending, still run nginx:1.26, in 1");

    let debug = "debug web-1 -n shop --image=evil:1 --container=spy --attach=false";
    cluster.kubectl(debug);
    let spy = [of_web("debugging", "web-1/spy")];
    assert_eq!(cluster.differences(VERIFY, 10), spy);
    let dry_run = "verify prod/shop --kubernetes=live:dry-run";
    assert_eq!(cluster.differences(dry_run, 10), spy);
    let mut leaving = cluster.kube.object("pods", "shop", "web-1");
    leaving["metadata"]["deletionTimestamp"] = "2036-11-01T10:00:00Z".into();
    runs(&cluster, &leaving);
    assert_eq!(cluster.differences(VERIFY, 10), spy);
    runs(&cluster, &good);
    cluster.cairn(VERIFY).exits(0);
    runs(&cluster, &pod("web-4", "new", "nginx:1.26", ID));
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [of_web("images", "web-4/web")]);
    let ran = cluster.cairn(VERIFY).exits(10);
    ran.says("found nginx:1.26, and not nginx:1.27");
}

/// Goal: where nothing of the newest revision runs, it is not said to; one that has not been seen
/// yet is no drift; what is ending is told. Method: a rollout that does not go on, a generation that
/// the controller has not seen, and a pod that somebody deleted with a grace of years.
#[test]
fn a_rollout_that_has_not_begun_is_no_match_and_no_drift() {
    let Some(cluster) = deployed("a rollout", APP) else {
        return;
    };
    with_replica_sets(&cluster);
    runs(&cluster, &pod("web-9", "old", "nginx:1.26", ID));
    let ran = cluster.cairn(VERIFY).exits(16);
    ran.says("only an older revision of it runs");
    runs(&cluster, &pod("web-1", "new", "nginx:1.27", ID));
    cluster.cairn(VERIFY).exits(0);
    let mut leaving = pod("web-2", "new", "evil:1", ID);
    leaving["metadata"]["deletionTimestamp"] = "2036-11-01T10:00:00Z".into();
    runs(&cluster, &leaving);
    let ran = cluster.cairn(VERIFY).exits(0);
    ran.says("older revisions, or what is ending, still run evil:1, in 1");
    let mut web = cluster.kube.object("deployments", "shop", "web");
    web["metadata"]["generation"] = 2.into();
    web["status"] = json!({"observedGeneration": 1});
    cluster.kube.has("apps", "deployments", &web);
    runs(&cluster, &pod("web-1", "new", "nginx:1.26", ID));
    cluster.cairn(VERIFY).exits(16);
    web["status"] = json!({"observedGeneration": 2});
    cluster.kube.has("apps", "deployments", &web);
    cluster.cairn(VERIFY).exits(10);
}

/// A stateful set, a daemon set and a cron job with a job, each of which has a pod of another
/// image; and the uids of the first two.
fn of_each_kind(test: &str) -> Option<(Cluster, String, String)> {
    let spec = "template: {metadata: {labels: {app: x}}, spec: {restartPolicy: Always, containers: \
                [{name: web, image: 'nginx:1.27'}]}}";
    let set = |kind: &str, name: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n\
             spec: {{selector: {{matchLabels: {{app: x}}}}, {spec}}}\n---\n"
        )
    };
    let cron = format!(
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: cron, namespace: shop}}\n\
         spec: {{schedule: '* * * * *', jobTemplate: {{spec: {{{spec}}}}}}}\n"
    );
    let stream = [set("StatefulSet", "set"), set("DaemonSet", "daemon"), cron].concat();
    let cluster = deployed(test, &stream)?;
    let uid = |plural: &str, name: &str| {
        let object = cluster.kube.object(plural, "shop", name);
        object["metadata"]["uid"].as_str().unwrap().to_owned()
    };
    let (set, daemon) = (uid("statefulsets", "set"), uid("daemonsets", "daemon"));
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": "cron-1", "namespace": "shop", "uid": "job", "resourceVersion": "1",
            "ownerReferences": [
                {"kind": "CronJob", "uid": uid("cronjobs", "cron"), "controller": true},
            ],
        },
        "spec": {},
    });
    cluster.kube.has("batch", "jobs", &job);
    for owner in [&set, &daemon, "job"] {
        runs(&cluster, &pod(&format!("of-{owner}"), owner, "evil:1", ID));
    }
    Some((cluster, set, daemon))
}

fn of(artifact: &str, owner: &str) -> Told {
    let path = format!("pods.images[\"of-{owner}/web\"]");
    one(&format!("kubernetes/{artifact}"), &path, "added")
}

/// Goal: pods are found under each kind of workload, and who may not list what stands between knows
/// of the others all the same. Method: one of each, with a pod of another image.
#[test]
fn pods_are_found_under_each_kind_of_workload() {
    let Some((cluster, set, daemon)) = of_each_kind("pods of each kind") else {
        return;
    };
    let mut all = [
        of("apps/DaemonSet/shop/daemon", &daemon),
        of("apps/StatefulSet/shop/set", &set),
        of("batch/CronJob/shop/cron", "job"),
    ];
    assert_eq!(cluster.differences(VERIFY, 10), all);
    cluster.kube.forbid("jobs");
    all[2] = one("kubernetes/batch/CronJob/shop/cron", "", "unverifiable");
    assert_eq!(cluster.differences(VERIFY, 10), all);
}

/// Goal: what is of an older revision is no difference while its controller says that another one
/// is to come, and not because a label says so. Method: sets with a pod of each revision.
#[test]
fn a_pod_is_of_an_older_revision_if_its_controller_says_so() {
    let Some((cluster, set, daemon)) = of_each_kind("revisions of sets") else {
        return;
    };
    let of_set = of("apps/StatefulSet/shop/set", &set);
    let of_daemon = of("apps/DaemonSet/shop/daemon", &daemon);
    let cron = of("batch/CronJob/shop/cron", "job");
    let labelled = |owner: &str, label: &str| {
        let mut older = pod(&format!("of-{owner}"), owner, "evil:1", ID);
        older["metadata"]["labels"][label] = "1".into();
        runs(&cluster, &older);
        let mut newest = pod(&format!("good-{owner}"), owner, "nginx:1.27", ID);
        newest["metadata"]["labels"][label] = "2".into();
        runs(&cluster, &newest);
    };
    labelled(&set, "controller-revision-hash");
    let mut object = cluster.kube.object("statefulsets", "shop", "set");
    object["status"] = json!({"updateRevision": "2", "currentRevision": "2"});
    cluster.kube.has("apps", "statefulsets", &object);
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [of_daemon.clone(), of_set, cron.clone()]);
    object["status"]["currentRevision"] = "1".into();
    cluster.kube.has("apps", "statefulsets", &object);
    assert_eq!(cluster.differences(VERIFY, 10), [of_daemon, cron.clone()]);
    labelled(&daemon, "pod-template-generation");
    let mut object = cluster.kube.object("daemonsets", "shop", "daemon");
    object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "2".into();
    cluster.kube.has("apps", "daemonsets", &object);
    assert_eq!(cluster.differences(VERIFY, 10), [cron]);
}

/// Goal: what a registry said of a tag is all that a node may show of it. Method: an image without
/// an index in a registry, and a pod that was started from another.
#[test]
fn an_image_that_a_registry_named_is_known_whole() {
    if !has_tools(
        "images of a registry",
        &["skopeo", "umoci", "docker-registry"],
    ) {
        return;
    }
    let (images, _ledger) = with_images();
    let registry = Registry::start(&images.path(""));
    let shop = format!("{}/shop:1", registry.address);
    let line = format!("skopeo copy -q --dest-tls-verify=false oci:oci:1 docker://{shop}");
    run(&images.path(""), &line);
    let Some(cluster) = deployed("images of a registry", &APP.replace("nginx:1.27", &shop)) else {
        return;
    };
    with_replica_sets(&cluster);
    let docker = format!("--docker=live:{shop}");
    let record = format!("record prod/shop --kubernetes=rendered.yaml {docker}");
    cluster.cairn(&record).exits(0);
    let line = format!("skopeo inspect --raw --tls-verify=false docker://{shop}");
    let manifest = Sha256::of(run(&images.path(""), &line).as_bytes());
    let other = Sha256::of(b"another image");
    for (digest, exit) in [(manifest, 0), (other, 10)] {
        let id = format!("{}/shop@sha256:{digest}", registry.address);
        runs(&cluster, &pod("web-1", "new", &shop, &id));
        cluster.cairn(&format!("{VERIFY} {docker}")).exits(exit);
    }
}

/// Goal: where the image's digests were recorded beside the objects, bytes count and not names,
/// whichever digest a node shows; where not all are known, a note says so. Method: an image of two
/// platforms by its tag, and one of one; pods that show each of its digests, and another's.
#[test]
fn a_tag_that_leads_elsewhere_is_drift_where_the_image_was_recorded() {
    if !has_tools("images of pods", &["skopeo", "umoci"]) {
        return;
    }
    let stream = APP.replace("nginx:1.27", "shop:1");
    let Some(cluster) = deployed("images of pods", &stream) else {
        return;
    };
    with_replica_sets(&cluster);
    let (images, _ledger) = with_images();
    let folder = images.path("");
    build(&folder, "arm1", "arm one", "--architecture arm64");
    join(&folder, "all", &["1", "arm1"]);
    for layout in ["all", "1"] {
        let to = cluster.stage.path(format!("{layout}.tar"));
        let to = format!("oci-archive:{}:shop:1", to.display());
        run(
            &folder,
            &format!("skopeo copy -q --all oci:oci:{layout} {to}"),
        );
    }
    let record = |layout: &str| {
        let line = format!("record prod/shop --kubernetes=rendered.yaml --docker={layout}.tar");
        cluster.cairn(&line).exits(0);
        object(&cluster.stage, "prod/shop", "docker/image/shop:1")
    };
    let recorded = record("all");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let platform = &recorded["platforms"][1];
    let (manifest, config) = (text(&platform["manifest"]), text(&platform["config"]));
    let both = format!("{VERIFY} --docker=all.tar");
    let index = text(&recorded["index"]);
    for (image, id) in [
        ("shop:1", format!("docker-pullable://shop@{manifest}")),
        ("shop:1", format!("docker.io/library/shop@{index}")),
        ("shop:1", config.clone()),
        ("shop:1", config.replace("sha256:", "")),
        ("shop:1", format!("docker://{config}")),
        ("shop:1", String::new()),
        (
            "mirror.example/shop:1",
            format!("mirror.example/shop@{index}"),
        ),
    ] {
        runs(&cluster, &pod("web-1", "new", image, &id));
        cluster.cairn(&both).exits(0).says("6 of 6 objects");
    }
    let other = Sha256::of(b"another image");
    for id in [
        format!("shop@sha256:{other}"),
        format!("docker://sha256:{other}"),
        other.to_string(),
    ] {
        runs(&cluster, &pod("web-1", "new", "shop:1", &id));
        let ran = cluster.cairn(&both).exits(10);
        ran.says("pods.images[\"web-1/web\"]")
            .says(&format!("{other}, which is no recorded shop:1"));
    }
    record("1");
    let one = format!("{VERIFY} --docker=1.tar");
    let ran = cluster.cairn(&one).exits(10);
    ran.says("which is no recorded shop:1");
    runs(
        &cluster,
        &pod("web-1", "new", "shop:1", &format!("shop@sha256:{other}")),
    );
    let ran = cluster.cairn(&one).exits(0);
    ran.says("pods of shop:1 were held against its name alone");
}
