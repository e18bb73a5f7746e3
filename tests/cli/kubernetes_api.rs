//! Kubernetes and Helm against the Kubernetes API itself, which fills in, leaves out and spells
//! anew as the stand-in of the other tests has it. It runs where `CAIRN_KUBERNETES_API=1` asks
//! for it, with `etcd` and `kube-apiserver`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, one},
    kubernetes_public::files,
    stage::Ran,
    support::{api::Api, tools},
};

const VERIFY: &str = "verify prod/shop --kubernetes";
const DRY_RUN: &str = "verify prod/shop --kubernetes=live:dry-run";

/// Kinds of each sort, as people write them.
const KINDS: &str = include_str!("kubernetes_kinds.yaml");

/// What to patch and how; and the artifact, the field and the kind of the difference.
const CHANGES: [(&str, &str, &str, &str, &str); 6] = [
    (
        "deployment/web",
        r#"[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"nginx:1.28"}]"#,
        "apps/Deployment/shop/web",
        "spec.template.spec.containers[web].image",
        "changed",
    ),
    (
        "deployment/web",
        r#"[{"op":"add","path":"/spec/template/spec/containers/-",
             "value":{"name":"miner","image":"evil"}}]"#,
        "apps/Deployment/shop/web",
        "spec.template.spec.containers[miner]",
        "added",
    ),
    (
        "deployment/web",
        r#"[{"op":"add","path":"/spec/template/spec/hostNetwork","value":true}]"#,
        "apps/Deployment/shop/web",
        "spec.template.spec.hostNetwork",
        "added",
    ),
    (
        "secret/db",
        r#"[{"op":"replace","path":"/data/password","value":"b3RoZXI="}]"#,
        "core/Secret/shop/db",
        "data.password",
        "changed",
    ),
    (
        "configmap/cfg",
        r#"[{"op":"add","path":"/data/b","value":"x"}]"#,
        "core/ConfigMap/shop/cfg",
        "data.b",
        "added",
    ),
    (
        "role/web",
        r#"[{"op":"add","path":"/rules/0/verbs/-","value":"delete"}]"#,
        "rbac.authorization.k8s.io/Role/shop/web",
        "rules[0].verbs[1]",
        "added",
    ),
];

fn started(test: &str) -> Option<Cluster<Api>> {
    if !tools::kubectl(test) {
        return None;
    }
    let cluster = Cluster::at_the_api(test)?;
    cluster.kubectl("create namespace shop");
    Some(cluster)
}

/// Goal: objects of each kind are verified against the API that made them, in both ways; each
/// change is told by its field and nothing else; what is applied again, or restored, is verified.
/// Method: apply, record, change one thing after the other, roll back.
#[test]
fn objects_are_as_the_api_itself_keeps_them() {
    let Some(cluster) = started("objects of the API itself") else {
        return;
    };
    cluster.stage.write("app.yaml", KINDS);
    cluster.kubectl("apply -f app.yaml");
    let record = "record prod/shop --kubernetes=app.yaml";
    cluster.cairn(record).exits(0).says("Recorded  prod/shop#1");
    cluster.cairn(VERIFY).exits(0).says("VERIFIED");
    cluster.cairn(DRY_RUN).exits(0).says("as the API itself");
    for (target, patch, artifact, path, kind) in CHANGES {
        let was = cluster
            .kubectl(&format!("get {target} -n shop -o json"))
            .out;
        let mut was: Value = serde_json::from_str(&was).unwrap();
        was["metadata"]["resourceVersion"].take();
        cluster.stage.write("was.json", was.to_string());
        let words = ["patch", target, "-n", "shop", "--type=json", "-p", patch];
        cluster.tool("kubectl", &words);
        let told = cluster.differences(VERIFY, 10);
        assert_eq!(told, [one(&format!("kubernetes/{artifact}"), path, kind)]);
        cluster.kubectl("replace -f was.json");
        cluster.cairn(VERIFY).exits(0);
    }
    cluster.kubectl("delete networkpolicy web -n shop");
    let told = cluster.differences(VERIFY, 10);
    let policy = "kubernetes/networking.k8s.io/NetworkPolicy/shop/web";
    assert_eq!(told, [one(policy, "", "missing")]);
    cluster.stage.edit("app.yaml", "nginx:1.27", "nginx:1.29");
    cluster.kubectl("apply -f app.yaml");
    cluster.cairn(record).exits(0);
    cluster.cairn(VERIFY).exits(0).says("prod/shop#2");
    cluster.cairn("rollback prod/shop prod/shop#1").exits(0);
    cluster.cairn(VERIFY).exits(15).says("prod/shop#2");
    let restored = cluster.cairn("restore prod/shop kubernetes --to -").out;
    cluster.stage.write("restored.json", restored);
    cluster.kubectl("apply -f restored.json");
    cluster.cairn(VERIFY).exits(0).says("prod/shop#3");
}

/// Goal: the examples that kubectl ships are verified as soon as they are applied, in both ways.
/// Method: each that the API takes, in a namespace of its own.
#[test]
fn examples_of_others_are_verified_as_soon_as_they_are_applied() {
    let Some(cluster) = started("examples at the API itself") else {
        return;
    };
    let folder = std::env::var_os("CAIRN_KUBERNETES_EXAMPLES").map(PathBuf::from);
    let Some(folder) = folder else {
        return tools::lacks("examples", "CAIRN_KUBERNETES_EXAMPLES names no folder");
    };
    let mut verified = 0;
    let of = |extension: &str| files(&folder.join("kubectl"), extension);
    for (place, file) in of("yaml").into_iter().chain(of("json")).enumerate() {
        let namespace = format!("e{place}");
        cluster.kubectl(&format!("create namespace {namespace}"));
        let set = format!("config set-context --current --namespace={namespace}");
        cluster.kubectl(&set);
        let file = file.to_str().unwrap();
        // Some are wrong on purpose, and some have names that the namespace does not.
        if cluster.try_tool("kubectl", &["apply", "-f", file]).code != Some(0) {
            continue;
        }
        let environment = format!("examples/{namespace}");
        let record = format!("record {environment} --kubernetes={file}");
        cluster.cairn(&record).exits(0);
        for way in ["--kubernetes", "--kubernetes=live:dry-run"] {
            cluster
                .cairn(&format!("verify {environment} {way}"))
                .exits(0);
        }
        verified += 1;
    }
    println!("{verified} examples verified");
    assert!(verified > 20, "{verified}");
}

/// Goal: a chart as helm itself makes it is verified on the API, until what runs or helm's own
/// word of it differs; and after the rollback that cairn names. Method: `helm create`.
#[test]
fn a_chart_of_helms_own_is_verified_at_the_api() {
    let test = "a chart at the API itself";
    if !tools::is_here(test, "helm", &["version"]) {
        return;
    }
    let Some(cluster) = started(test) else {
        return;
    };
    let helm = |line: &str| -> Ran {
        let words: Vec<_> = line.split_whitespace().collect();
        cluster.tool("helm", &words)
    };
    helm("create web");
    helm("install web ./web -n shop --set replicaCount=2");
    cluster
        .cairn("record prod/shop --helm=live:shop/web")
        .exits(0);
    let verify = "verify prod/shop --helm";
    let report = cluster.cairn(&format!("{verify} --output json")).exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["objects"], json!({"matched": 4, "total": 4}));
    let own = "helm/object/shop/web/apps/Deployment/_/web";
    cluster.kubectl("scale deployment/web -n shop --replicas=7");
    let told = cluster.differences(verify, 10);
    assert_eq!(told, [one(own, "spec.replicas", "changed")]);
    helm("upgrade web ./web -n shop --set replicaCount=3");
    let told = cluster.differences(verify, 10);
    let release = "helm/release/shop/web";
    let mut expected = ["manifest", "revision", "values"]
        .map(|field| one(release, field, "changed"))
        .to_vec();
    expected.insert(0, one(own, "spec.replicas", "changed"));
    assert_eq!(told, expected);
    let all = helm("get all web -n shop").out;
    cluster.stage.write("all.txt", all);
    cluster.cairn("record prod/shop --helm=all.txt").exits(0);
    cluster.cairn(verify).exits(0).says("prod/shop#2");
    let ran = cluster.cairn("rollback prod/shop prod/shop#1").exits(0);
    ran.says("helm rollback web 1 --namespace shop");
    helm("rollback web 1 --namespace shop");
    cluster.cairn(verify).exits(0).says("prod/shop#3");
}
