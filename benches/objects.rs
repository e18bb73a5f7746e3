//! A release of 5,000 Kubernetes objects: what recording and verifying it takes, as a pipeline
//! sees it, from process start to exit, and how much memory.
//!
//! `cargo bench --bench objects` prints a table and writes `target/bench-objects.json`.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

#[path = "shared/report.rs"]
mod report;
#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cairn_proto::manifest::Digests;
use serde_json::{Value, json};

use report::{Line, Report, Unit, median, megabytes};
use support::process::{Dev, cairn, finish_at_peak};

const OBJECTS: usize = 5_000;
const RUNS: usize = 3;
const PATIENCE: Duration = Duration::from_mins(5);

fn main() {
    let mut report = Report::new("objects");
    let directory = tempfile::tempdir().unwrap();
    let dev = Dev::below(directory.path());
    let server = dev.start();
    let rendered = directory.path().join("rendered.json");
    let answer = directory.path().join("answer.json");
    write(&rendered, &applied);
    write(&answer, &shown);
    let (mut records, mut verifies, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    let (mut recording, mut verifying) = (0, 0);
    for run in 0..RUNS {
        let environment = format!("prod/large{run}");
        let (seconds, peak) = timed(&dev, "record", &environment, &rendered);
        records.push(seconds);
        recording = recording.max(peak);
        let (seconds, peak) = timed(&dev, "verify", &environment, &answer);
        verifies.push(seconds);
        verifying = verifying.max(peak);
        floors.push([&rendered, &answer].map(|file| floor(file)));
    }
    server.stop();
    let bytes = [&rendered, &answer].map(|file| megabytes(fs::metadata(file).unwrap().len()));
    let floor = |which: usize| median(floors.iter().map(|both| both[which]).collect());
    let what = format!("recording {OBJECTS} objects, {:.1} MB", bytes[0]);
    let line = Line::new(what, median(records), Unit::Seconds);
    report.push(line.beside(floor(0)).target("<= 10 s"));
    let what = format!(
        "verifying them against {:.1} MB of the API's answer",
        bytes[1]
    );
    let line = Line::new(what, median(verifies), Unit::Seconds);
    report.push(line.beside(floor(0) + floor(1)).target("<= 5 s"));
    for (what, peak) in [("recording", recording), ("verifying", verifying)] {
        let what = format!("most memory, {what}");
        let line = Line::new(what, megabytes(peak << 10), Unit::Megabytes);
        report.push(line.target("<= 300 MB"));
    }
    report.finish();
}

fn write(path: &Path, object: &dyn Fn(usize) -> Value) {
    let items: Vec<_> = (0..OBJECTS).map(object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    fs::write(path, list.to_string()).unwrap();
}

/// A Deployment as a chart renders it.
fn applied(number: usize) -> Value {
    let name = format!("web-{number}");
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop"});
    let env: Vec<_> = (0..8)
        .map(|place| json!({"name": format!("SETTING_{place}"), "value": format!("{place}/{number}")}))
        .collect();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": "shop",
                    "securityContext": {"runAsNonRoot": true, "runAsUser": 1000},
                    "containers": [{
                        "name": "web",
                        "image": format!("registry.example/shop/web@sha256:{}", "4".repeat(64)),
                        "args": ["--port=8080", format!("--shard={number}")],
                        "env": env,
                        "ports": [{"name": "http", "containerPort": 8080}],
                        "resources": {
                            "limits": {"cpu": "500m", "memory": "512Mi"},
                            "requests": {"cpu": "100m", "memory": "256Mi"},
                        },
                        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }],
                    "volumes": [{"name": "tmp", "emptyDir": {}}],
                },
            },
        },
    })
}

/// The same as the API shows it: with what it filled in, who manages what, and a status.
fn shown(number: usize) -> Value {
    let mut object = applied(number);
    let managed = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app.kubernetes.io/name": {}}},
        "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {
            "f:containers": {"k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:env": {}}},
            "f:volumes": {"k:{\"name\":\"tmp\"}": {".": {}, "f:emptyDir": {}}},
        }}},
    });
    let metadata = object["metadata"].as_object_mut().unwrap();
    metadata.extend([
        (
            "uid".into(),
            format!("00000000-0000-4000-8000-{number:012}").into(),
        ),
        ("resourceVersion".into(), number.to_string().into()),
        ("generation".into(), 1.into()),
        ("creationTimestamp".into(), "2026-11-01T10:00:00Z".into()),
        (
            "managedFields".into(),
            json!([{
                "manager": "helm", "operation": "Apply", "apiVersion": "apps/v1",
                "time": "2026-11-01T10:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": managed,
            }]),
        ),
    ]);
    let spec = object["spec"].as_object_mut().unwrap();
    spec.extend([
        ("revisionHistoryLimit".into(), 10.into()),
        ("progressDeadlineSeconds".into(), 600.into()),
        (
            "strategy".into(),
            json!({"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}),
        ),
    ]);
    let pod = object["spec"]["template"]["spec"].as_object_mut().unwrap();
    pod.extend([
        ("restartPolicy".into(), "Always".into()),
        ("dnsPolicy".into(), "ClusterFirst".into()),
        ("schedulerName".into(), "default-scheduler".into()),
        ("terminationGracePeriodSeconds".into(), 30.into()),
    ]);
    let container = object["spec"]["template"]["spec"]["containers"][0]
        .as_object_mut()
        .unwrap();
    container.extend([
        ("imagePullPolicy".into(), "IfNotPresent".into()),
        (
            "terminationMessagePath".into(),
            "/dev/termination-log".into(),
        ),
        ("terminationMessagePolicy".into(), "File".into()),
    ]);
    object["status"] = json!({
        "observedGeneration": 1, "replicas": 3, "readyReplicas": 3, "availableReplicas": 3,
        "conditions": [{"type": "Available", "status": "True",
            "reason": "MinimumReplicasAvailable", "lastUpdateTime": "2026-11-01T10:00:00Z"}],
    });
    object
}

/// Seconds of a command that must end well, and the most memory in KiB.
fn timed(dev: &Dev, verb: &str, environment: &str, file: &Path) -> (f64, u64) {
    let mut command = cairn(&dev.home);
    command.arg(verb).arg(environment);
    command.arg(format!("--kubernetes={}", file.display()));
    let start = Instant::now();
    let (ended, peak) = finish_at_peak(command, PATIENCE);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    (seconds, peak)
}

/// Seconds to read a list, to hash each of its objects in both ways, and to write it once.
fn floor(file: &Path) -> f64 {
    let start = Instant::now();
    let list: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    for item in list["items"].as_array().unwrap() {
        std::hint::black_box(Digests::of(item.to_string().as_bytes()));
    }
    start.elapsed().as_secs_f64()
}
