//! `--helm`: what Helm says of a release, and what runs of it. helm and kubectl are the real
//! ones; the API that they talk to is a stand-in.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    cluster::{Cluster, Told, one},
    stage::{Ran, Stage},
    support::tools,
};

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}-web}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "nginx:1.27", env: [{name: MODE, value: {{ .Values.mode }}}]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [pods], verbs: [get]}]
"#;

const DB: &str = r"
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-db}
stringData: {password: {{ .Values.password }}}
";

const HOOK: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-hook
  annotations:
    "helm.sh/hook": pre-install,pre-upgrade
    "helm.sh/hook-delete-policy": hook-succeeded
data: {mode: "{{ .Values.mode }}"}
"#;

const RECORD: &str = "record prod/shop --helm=live:shop/web";
const VERIFY: &str = "verify prod/shop --helm";
const RELEASE: &str = "helm/release/shop/web";
const DEPLOYMENT: &str = "helm/object/shop/web/apps/Deployment/_/web-web";
const SECRET: &str = "helm/object/shop/web/core/Secret/_/web-db";
const ROLE: &str = "helm/object/shop/web/rbac.authorization.k8s.io/ClusterRole/_/web";

fn write_chart(stage: &Stage) {
    let chart = "apiVersion: v2\nname: shop\nversion: 1.2.3\nappVersion: \"7.1\"\n";
    stage.write("chart/Chart.yaml", chart);
    stage.write(
        "chart/values.yaml",
        "replicas: 2\nmode: plain\npassword: unset\n",
    );
    stage.write("chart/templates/web.yaml", WEB);
    stage.write("chart/templates/db.yaml", DB);
    stage.write("chart/templates/hook.yaml", HOOK);
    stage.write(
        "chart/templates/NOTES.txt",
        "the password is {{ .Values.password }}\n",
    );
}

/// A cluster on which helm installed a chart.
pub(crate) fn installed(test: &str) -> Option<Cluster> {
    if !tools::is_here(test, "helm", &["version"]) {
        return None;
    }
    let cluster = Cluster::start(test)?;
    write_chart(&cluster.stage);
    helm(
        &cluster,
        "install web chart -n shop --set password=swordfish-4711",
    );
    Some(cluster)
}

pub(crate) fn helm(cluster: &Cluster, line: &str) -> Ran {
    cluster.tool("helm", &line.split_whitespace().collect::<Vec<_>>())
}

/// The Secret in which helm keeps a revision, as kubectl prints it.
fn kept(cluster: &Cluster, revision: u64) -> String {
    let line = format!("get secret sh.helm.release.v1.web.v{revision} -n shop -o json");
    cluster.kubectl(&line).out
}

fn of_release(differences: &[Told]) -> Vec<&str> {
    let own = differences.iter().filter(|it| it.0 == RELEASE);
    own.map(|it| it.1.as_str()).collect()
}

/// Goal: what helm installed is verified, by helm's word and by what runs; each change is told
/// by its field; no secret is kept. Method: install, record, change with kubectl.
#[test]
fn a_release_is_verified_until_what_runs_differs() {
    let Some(cluster) = installed("helm verify") else {
        return;
    };
    let report = cluster.cairn(&format!("{RECORD} --output json")).exits(0);
    report.json("cairn.record/v1");
    let report = cluster.cairn(&format!("{VERIFY} --output json")).exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["objects"], json!({"matched": 4, "total": 4}));
    let added = report["added"].as_array().unwrap();
    let label = added.iter().find(|it| {
        let of = [&it["artifact"], &it["found"]];
        of == [DEPLOYMENT, "Helm, by helm"]
    });
    assert!(label.is_some(), "{added:?}");
    for secret in ["swordfish-4711", "c3dvcmRmaXNoLTQ3MTE", "the password is"] {
        cluster.stage.keeps_nowhere(secret, "web-web");
    }
    cluster.kubectl("scale deployment/web-web -n shop --replicas=5");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(DEPLOYMENT, "spec.replicas", "changed")]);
    cluster.kubectl("scale deployment/web-web -n shop --replicas=2");
    cluster.cairn(VERIFY).exits(0);
    cluster.kubectl("delete clusterrole web");
    let patch = r#"{"stringData":{"password":"other"}}"#;
    let words = ["patch", "secret", "web-db", "-n", "shop", "-p", patch];
    cluster.tool("kubectl", &words);
    let told = cluster.differences(VERIFY, 10);
    let expected = [
        one(SECRET, "data.password", "changed"),
        one(ROLE, "", "missing"),
    ];
    assert_eq!(told, expected);
}

/// Goal: another revision is never taken for the recorded one. Method: upgrade, roll back,
/// uninstall; and an upgrade that fails. Only a rollback to the recorded one is that one again.
#[test]
fn another_revision_or_status_is_a_difference() {
    let Some(cluster) = installed("helm revisions") else {
        return;
    };
    cluster.cairn(RECORD).exits(0).says("Recorded  prod/shop#1");
    helm(
        &cluster,
        "upgrade web chart -n shop --reuse-values --set replicas=3",
    );
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(of_release(&told), ["manifest", "revision", "values"]);
    assert!(
        told.contains(&one(DEPLOYMENT, "spec.replicas", "changed")),
        "{told:?}"
    );
    cluster.cairn(RECORD).exits(0).says("Recorded  prod/shop#2");
    cluster.cairn(VERIFY).exits(0);
    helm(&cluster, "rollback web 1 -n shop");
    let ran = cluster.cairn(VERIFY).exits(15);
    ran.says("this is exactly prod/shop#1; prod/shop#2 is current");
    cluster.cairn("rollback prod/shop prod/shop#1").exits(0);
    let ran = cluster.cairn(VERIFY).exits(0).says("VERIFIED");
    ran.says("revision 3 of web is revision 1 rolled back to");
    helm(&cluster, "rollback web 2 -n shop");
    cluster.cairn(VERIFY).exits(15).says("prod/shop#2");
    helm(&cluster, "rollback web 3 -n shop");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(RELEASE, "revision", "changed")]);
    cluster.cairn(RECORD).exits(0);
    cluster.cairn(VERIFY).exits(0);
    cluster.kube.forbid("clusterroles");
    let words = ["upgrade", "web", "chart", "-n", "shop", "--reuse-values"];
    assert_eq!(cluster.try_tool("helm", &words).code, Some(1));
    cluster.kube.allow_all();
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(of_release(&told), ["revision", "status"]);
    cluster
        .cairn(RECORD)
        .refuses(1, "SOURCE_INVALID")
        .says("failed, not deployed");
    helm(&cluster, "uninstall web -n shop");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(
        told.iter().filter(|it| it.2 == "missing").count(),
        4,
        "{told:?}"
    );
    cluster
        .cairn(RECORD)
        .refuses(1, "SOURCE_INVALID")
        .says("no such release");
}

/// Goal: the release's Secret says the same as helm, in each form in which people have it; and
/// proves nothing of what runs. Method: record from each, verify live and by the file.
#[test]
fn a_releases_secret_is_read_in_each_form() {
    let Some(cluster) = installed("helm secret") else {
        return;
    };
    let stage = &cluster.stage;
    let secret = kept(&cluster, 1);
    let value: Value = serde_json::from_str(&secret).unwrap();
    let text = value["data"]["release"].as_str().unwrap();
    let inner = STANDARD.decode(text).unwrap();
    let zipped = STANDARD.decode(&inner).unwrap();
    let mut plain = Vec::new();
    let mut unzip = flate2::read::GzDecoder::new(zipped.as_slice());
    std::io::Read::read_to_end(&mut unzip, &mut plain).unwrap();
    let list = json!({"kind": "List", "apiVersion": "v1", "items": [value]}).to_string();
    let mut unzipped = value.clone();
    unzipped["data"]["release"] = STANDARD.encode(STANDARD.encode(&plain)).into();
    let config_map = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": value["metadata"],
        "data": {"release": String::from_utf8(inner.clone()).unwrap()},
    });
    let forms: [(&str, Vec<u8>); 8] = [
        ("secret", secret.into()),
        ("list", list.into()),
        ("data", text.into()),
        ("decoded", inner),
        ("zipped", zipped),
        ("plain", plain),
        ("not zipped", unzipped.to_string().into()),
        ("config map", config_map.to_string().into()),
    ];
    for (form, bytes) in &forms {
        stage.write("release", bytes);
        let ran = cluster.cairn("record prod/shop --helm=release").exits(0);
        let expected = if *form == "secret" {
            "Recorded"
        } else {
            "Unchanged"
        };
        ran.says(expected);
    }
    cluster.cairn(RECORD).exits(0).says("Unchanged prod/shop#1");
    cluster.cairn(VERIFY).exits(0);
    let line = "verify prod/shop --helm=release";
    let told = cluster.differences(line, 16);
    assert_eq!(
        told.iter().filter(|it| it.2 == "unverifiable").count(),
        3,
        "{told:?}"
    );
    assert!(of_release(&told).is_empty(), "{told:?}");
    helm(
        &cluster,
        "upgrade web chart -n shop --reuse-values --set mode=other",
    );
    stage.write("release", kept(&cluster, 2));
    let told = cluster.differences(line, 10);
    let expected = ["hooks[chart]", "manifest", "revision", "values"];
    assert_eq!(of_release(&told).len(), expected.len(), "{told:?}");
    stage.write("release", kept(&cluster, 1));
    let ran = cluster.cairn("record prod/shop --helm=release");
    ran.refuses(1, "SOURCE_INVALID")
        .says("superseded, not deployed");
}

/// Goal: what cannot be known is never a match. Method: no key, no right to read Secrets.
#[test]
fn a_release_that_cannot_be_asked_for_is_unverifiable() {
    let Some(cluster) = installed("helm unverifiable") else {
        return;
    };
    cluster.cairn(RECORD).exits(0);
    let mut guest = cluster.command_without_keys(VERIFY);
    Ran::of(&mut guest, VERIFY)
        .exits(16)
        .says("its key is not here");
    cluster.kube.forbid("secrets");
    let told = cluster.differences(VERIFY, 16);
    let expected = [
        one(SECRET, "", "unverifiable"),
        one(RELEASE, "", "unverifiable"),
    ];
    assert_eq!(told, expected);
    cluster.kube.allow_all();
    let told = cluster.differences("verify prod/shop --helm=live:shop/other", 16);
    assert_eq!(told.len(), 4, "{told:?}");
}

/// Goal: a chart's package is recorded beside the release, byte by byte, and is no secret's way
/// out. Method: helm packages it; once with a Secret among its templates, once without.
#[test]
fn a_chart_is_recorded_as_the_bytes_that_it_is() {
    let Some(cluster) = installed("helm chart") else {
        return;
    };
    helm(&cluster, "package chart");
    let line = format!("{RECORD} --helm=shop-1.2.3.tgz");
    cluster.cairn(&line).exits(0).says("withheld");
    cluster
        .cairn("show prod/shop")
        .exits(0)
        .says("helm/input/chart/shop-1.2.3.tgz");
    cluster.cairn(VERIFY).exits(0);
    let stage = &cluster.stage;
    std::fs::remove_file(stage.path("chart/templates/db.yaml")).unwrap();
    helm(&cluster, "package chart");
    cluster.cairn(&line).exits(0).says("Recorded  prod/shop#2");
    let input = "helm/input/chart/shop-1.2.3.tgz";
    std::fs::create_dir_all(stage.path("back/helm/input/chart")).unwrap();
    cluster
        .cairn(&format!("restore prod/shop {input} --to back"))
        .exits(0);
    let (back, given) = (stage.path("back").join(input), stage.path("shop-1.2.3.tgz"));
    assert_eq!(std::fs::read(back).unwrap(), std::fs::read(given).unwrap());
}
