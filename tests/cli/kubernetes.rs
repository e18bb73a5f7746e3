//! `--kubernetes`: what kubectl applied is what is there, or what differs is told. kubectl is
//! the real one; the API that it talks to is a stand-in.

use std::{process::Stdio, time::Instant};

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, one},
    stage::{Ran, is_long_run},
    support::process::finish_at_peak,
};

pub(crate) const APP: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  replicas: 3
  minReadySeconds: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, tier: ""}}
    spec:
      hostNetwork: false
      containers:
      - name: web
        image: nginx:1.27
        env: [{name: MODE, value: "1.0"}, {name: EMPTY, value: ""}]
        ports: [{containerPort: 80}]
        resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}
        livenessProbe: {httpGet: {port: 80}, initialDelaySeconds: 0}
      volumes: [{name: tmp, emptyDir: {}}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {motd: "hello", empty: ""}
---
apiVersion: example.com/v1
kind: Widget
metadata: {name: gadget, namespace: shop}
spec: {max: "1000m", selfSigned: {}, debug: false}
"#;

pub(crate) const SECRET: &str = r"
---
apiVersion: v1
kind: Secret
metadata:
  name: db
  namespace: shop
  annotations: {tool/copy: 'password: swordfish-4711'}
stringData: {password: swordfish-4711}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: keys, namespace: shop}
data:
  .env: TOKEN=swordfish-4711
  motd: |
    -----BEGIN PRIVATE KEY-----
    swordfish-4711
    -----END PRIVATE KEY-----
";

pub(crate) const WEB: &str = "kubernetes/apps/Deployment/shop/web";
pub(crate) const CONF: &str = "kubernetes/core/ConfigMap/shop/conf";
const DB: &str = "kubernetes/core/Secret/shop/db";
pub(crate) const GADGET: &str = "kubernetes/example.com/Widget/shop/gadget";
const VERIFY: &str = "verify prod/shop --kubernetes";

/// What is changed, how that is told, and the patch.
const CHANGES: &str = r#"
deploy web spec.replicas changed
    {"spec": {"replicas": 5}}
deploy web spec.template.spec.containers[spy] added
    {"spec": {"template": {"spec": {"containers": [{"name": "spy", "image": "spy:1"}]}}}}
deploy web spec.template.spec.hostPID added
    {"spec": {"template": {"spec": {"hostPID": true}}}}
deploy web spec.template.spec.hostNetwork changed
    {"spec": {"template": {"spec": {"hostNetwork": true}}}}
deploy web spec.template.spec.containers[web].resources.limits.cpu changed
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "2"}}}]}}}}
deploy web spec.template.spec.containers[web].resources.requests.memory added
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "resources": {"requests": {"memory": "1Gi"}}}]}}}}
deploy web spec.template.spec.containers[web].env[MODE].value changed
    {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "MODE", "value": "1"}]}]}}}}
cm conf data.extra added
    {"data": {"extra": "1"}}
cm conf data.empty missing
    {"data": {"empty": null}}
widget gadget spec.max changed
    {"spec": {"max": "1"}}
widget gadget spec.selfSigned missing
    {"spec": {"selfSigned": null}}
"#;

/// A cluster to which a stream was applied, and recorded.
pub(crate) fn deployed(test: &str, stream: &str) -> Option<Cluster> {
    let cluster = Cluster::start(test)?;
    cluster.stage.write("rendered.yaml", stream);
    cluster.kubectl("apply -f rendered.yaml");
    cluster
        .cairn("record prod/shop --kubernetes=rendered.yaml")
        .exits(0)
        .says("Recorded  prod/shop#1");
    Some(cluster)
}

pub(crate) fn patch(cluster: &Cluster, kind: &str, name: &str, patch: &str) {
    let how = if kind == "widget" {
        "merge"
    } else {
        "strategic"
    };
    let words = [
        "patch", kind, name, "-n", "shop", "--type", how, "-p", patch,
    ];
    cluster.tool("kubectl", &words);
}

/// Goal: what was applied is what is there; what the API filled in is listed with who manages
/// it, and no difference. Method: kubectl applies, in both of its ways.
#[test]
fn what_was_applied_is_verified_and_what_was_added_is_listed() {
    let Some(cluster) = deployed("kubernetes applied", &format!("{APP}{SECRET}")) else {
        return;
    };
    let report = cluster.cairn(&format!("{VERIFY} --output json")).exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["verdict"], "VERIFIED");
    let added = report["added"].as_array().unwrap();
    let found = |path: &str| {
        let one = added
            .iter()
            .find(|it| it["artifact"] == WEB && it["path"] == path);
        one.map_or_else(
            || panic!("{path}: {added:?}"),
            |it| it["found"].as_str().unwrap(),
        )
    };
    let manager = "kubectl-client-side-apply";
    assert!(found("spec.revisionHistoryLimit").ends_with(&format!("10, by {manager}")));
    let account = found("spec.template.spec.containers[web].terminationMessagePolicy");
    assert!(account.ends_with(manager), "{account}");
    let annotation = added
        .iter()
        .find(|it| it["path"].as_str().unwrap().contains("revision"));
    let by = annotation.unwrap()["found"].as_str().unwrap();
    assert!(by.ends_with("by kube-controller-manager"), "{by}");
    cluster.kubectl("apply --server-side --force-conflicts -f rendered.yaml");
    cluster.cairn(VERIFY).exits(0).says("7 of 7 objects");
    cluster.stage.keeps_nowhere("swordfish-4711", "gadget");
    cluster.stage.keeps_nowhere("c3dvcmRmaXNoLTQ3MTE", "gadget");
}

/// Goal: each change behind the pipeline's back is named, and it alone. Method: one after the
/// other with kubectl, each undone by applying again.
#[test]
fn what_was_changed_out_of_band_is_drift_by_its_field() {
    let Some(cluster) = deployed("kubernetes drift", APP) else {
        return;
    };
    let lines: Vec<_> = CHANGES.trim().lines().collect();
    for pair in lines.chunks(2) {
        let words: Vec<_> = pair[0].split_whitespace().collect();
        let [kind, name, path, how] = words[..] else {
            panic!("{words:?}");
        };
        let artifact = match kind {
            "deploy" => WEB,
            "cm" => CONF,
            _ => GADGET,
        };
        patch(&cluster, kind, name, pair[1].trim());
        let told = cluster.differences(VERIFY, 10);
        assert_eq!(told, [one(artifact, path, how)], "{}", pair[1]);
        cluster.kubectl("replace -f rendered.yaml");
        cluster.cairn(VERIFY).exits(0);
    }
    cluster.kubectl("scale deployment/web -n shop --replicas=5");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(WEB, "spec.replicas", "changed")]);
    cluster.kubectl("delete configmap conf -n shop");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(
        told,
        [
            one(WEB, "spec.replicas", "changed"),
            one(CONF, "", "missing")
        ]
    );
}

/// Goal: what admission adds beside what runs is no alarm, and is never hidden. Method: labels
/// on an object and on its template, under another manager's name.
#[test]
fn a_label_that_was_added_is_listed_with_its_manager() {
    let Some(cluster) = deployed("kubernetes label", APP) else {
        return;
    };
    let label = "label deploy web -n shop --field-manager=injector injected=yes";
    cluster.kubectl(label);
    cluster
        .cairn(&format!("{VERIFY} --output json"))
        .exits(0)
        .says("yes, by injector");
}

/// Goal: what is meant to vary can be said when recording, and is counted. Method: ignore the
/// replicas, scale, and then change the image as well.
#[test]
fn a_field_that_is_ignored_is_counted() {
    let Some(cluster) = deployed("kubernetes ignore", APP) else {
        return;
    };
    let line = format!("record prod/shop --kubernetes=rendered.yaml --ignore {WEB}#/spec/replicas");
    cluster.cairn(&line).exits(0).says("Recorded  prod/shop#2");
    cluster.kubectl("scale deployment/web -n shop --replicas=7");
    cluster.cairn(VERIFY).exits(0).says("1 field ignored");
    cluster.kubectl("set image deployment/web -n shop web=nginx:1.28");
    let told = cluster.differences(VERIFY, 10);
    let image = "spec.template.spec.containers[web].image";
    assert_eq!(told, [one(WEB, image, "changed")]);
}

/// Goal: an older release comes back whole. Method: record two, roll back, restore what was
/// given then, and apply that.
#[test]
fn a_rollback_that_was_applied_is_verified() {
    let Some(cluster) = deployed("kubernetes rollback", APP) else {
        return;
    };
    let stage = &cluster.stage;
    stage.edit("rendered.yaml", "replicas: 3", "replicas: 4");
    cluster.kubectl("apply -f rendered.yaml");
    cluster.cairn(VERIFY).exits(10);
    cluster
        .cairn("record prod/shop --kubernetes=rendered.yaml")
        .exits(0);
    cluster.cairn(VERIFY).exits(0).says("VERIFIED  prod/shop#2");
    cluster.cairn("rollback prod/shop prod/shop#1").exits(0);
    cluster
        .cairn(VERIFY)
        .exits(15)
        .says("what is here is prod/shop#2");
    let input = "kubernetes/input/rendered.yaml";
    std::fs::create_dir_all(stage.path("back/kubernetes/input")).unwrap();
    cluster
        .cairn(&format!("restore prod/shop {input} --to back"))
        .exits(0);
    cluster.kubectl(&format!("apply -f back/{input}"));
    cluster.cairn(VERIFY).exits(0).says("VERIFIED  prod/shop#3");
}

/// Goal: what cannot be known is never a match. Method: no key for a Secret, no right to ask,
/// nobody who answers.
#[test]
fn what_cannot_be_asked_or_compared_is_unverifiable() {
    let Some(cluster) = deployed("kubernetes unverifiable", &format!("{APP}{SECRET}")) else {
        return;
    };
    let stage = &cluster.stage;
    let mut guest = cluster.command_without_keys(VERIFY);
    Ran::of(&mut guest, VERIFY)
        .exits(16)
        .says("its key is not here");
    let other = r#"{"stringData": {"password": "other"}}"#;
    patch(&cluster, "secret", "db", other);
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(DB, "data.password", "changed")]);
    let keys = r#"{"data": {".env": "TOKEN=other"}}"#;
    patch(&cluster, "cm", "keys", keys);
    let told = cluster.differences(VERIFY, 10);
    let of_keys = one(
        "kubernetes/core/ConfigMap/shop/keys",
        "data[\".env\"]",
        "changed",
    );
    assert_eq!(told, [of_keys, one(DB, "data.password", "changed")]);
    cluster.kubectl("replace -f rendered.yaml");
    cluster.kube.forbid("secrets");
    let told = cluster.differences(VERIFY, 16);
    assert_eq!(told, [one(DB, "", "unverifiable")]);
    cluster.cairn(VERIFY).exits(16).says("forbidden");
    cluster.kube.allow_all();
    cluster.kube.forbid("deployments");
    cluster.kubectl("delete configmap conf -n shop");
    assert_eq!(cluster.differences(VERIFY, 10).len(), 2);
    stage.write(
        "kubeconfig",
        stage.text("kubeconfig").replace("127.0.0.1", "127.0.0.2"),
    );
    cluster.cairn(VERIFY).exits(3);
}

/// Goal: what kubectl prints is as good as the cluster, and JSON as good as YAML. Method: a
/// List on standard input, both to record and to verify.
#[test]
fn a_list_on_standard_input_is_recorded_and_verified() {
    let Some(cluster) = deployed("kubernetes stdin", APP) else {
        return;
    };
    let stage = &cluster.stage;
    let get = "get ns,deploy,svc,cm,widgets.example.com -n shop --show-managed-fields -o json";
    let live = cluster.kubectl(get).out;
    stage
        .feed("verify prod/shop --kubernetes=-", live.as_bytes())
        .exits(0);
    stage
        .feed("record prod/list --kubernetes=-", live.as_bytes())
        .exits(0);
    cluster
        .cairn("verify prod/list --kubernetes")
        .exits(0)
        .says("5 of 5 objects");
    stage.write("live.json", live.replace("nginx:1.27", "nginx:1.28"));
    let told = cluster.differences("verify prod/shop --kubernetes=live.json", 10);
    let image = "spec.template.spec.containers[web].image";
    assert_eq!(told, [one(WEB, image, "changed")]);
    // What another namespace has of the same name is another thing.
    stage.write(
        "live.json",
        live.replace("\"namespace\": \"shop\"", "\"namespace\": \"other\""),
    );
    let told = cluster.differences("verify prod/shop --kubernetes=live.json", 10);
    assert_eq!(
        told.iter().filter(|it| it.2 == "missing").count(),
        4,
        "{told:?}"
    );
}

/// Goal: a cluster of some size is recorded and verified in seconds and in bounded memory.
/// Method: 5,000 Deployments of real shape, as the API prints them; the times are printed.
#[test]
fn five_thousand_objects_are_recorded_and_verified_in_bounded_memory() {
    if !is_long_run("5,000 Kubernetes objects") {
        return;
    }
    let Some(cluster) = deployed("kubernetes large", APP) else {
        return;
    };
    let one = cluster.kubectl("get deploy web -n shop -o json").out;
    let items: Vec<Value> = (0..5_000)
        .map(|number| {
            let mut item: Value = serde_json::from_str(&one).unwrap();
            item["metadata"]["name"] = format!("web-{number}").into();
            item
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    println!("{} bytes, {} each", list.len(), list.len() / 5_000);
    cluster.stage.write("list.json", list);
    for line in [
        "record prod/large --kubernetes=list.json",
        "verify prod/large --kubernetes=list.json",
    ] {
        let mut command = cluster.cairn_command("home", line);
        command.stdin(Stdio::null());
        let began = Instant::now();
        let (ended, peak) = finish_at_peak(command, std::time::Duration::from_mins(5));
        println!(
            "cairn {line}: {:?}, at most {} MiB",
            began.elapsed(),
            peak >> 10
        );
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(peak < 300 << 10, "cairn {line}: {peak} KiB");
    }
}
