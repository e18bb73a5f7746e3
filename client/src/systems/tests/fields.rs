//! Fields of objects, by the rules of Kubernetes: the most that any system asks of the engine.

use serde_json::{Value, json};

use super::{Folder, With, changed, told};

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {
            "replicas": 3,
            "template": {"spec": {
                "hostNetwork": false,
                "containers": [
                    {"name": "web", "image": "web@sha256:1", "args": ["a", "b"],
                     "ports": [{"containerPort": 80}], "env": [{"name": "LEVEL", "value": "1"}],
                     "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
                    {"name": "side", "image": "side@sha256:2"}
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}]
            }}
        }
    })
}

/// What the API makes of it: defaults, notes of its own, another order.
fn live() -> Value {
    let mut live = deployment();
    live["status"] = json!({"readyReplicas": 3});
    live["metadata"]["uid"] = json!("123");
    live["metadata"]["managedFields"] = json!([
        {"manager": "kubectl", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
        {"manager": "mesh", "fieldsV1": {"f:metadata": {"f:labels": {"f:mesh": {}}}}},
    ]);
    live["metadata"]["labels"]["mesh"] = json!("on");
    live["spec"]["revisionHistoryLimit"] = json!(10);
    let pod = &mut live["spec"]["template"]["spec"];
    pod.as_object_mut().unwrap().remove("hostNetwork");
    pod["dnsPolicy"] = json!("ClusterFirst");
    pod["serviceAccountName"] = json!("default");
    let containers = pod["containers"].as_array_mut().unwrap();
    containers.reverse();
    containers[1]["ports"][0]["protocol"] = json!("TCP");
    containers[1]["imagePullPolicy"] = json!("IfNotPresent");
    containers[1]["resources"]["limits"] = json!({"cpu": "1000m", "memory": "1024Mi"});
    live
}

fn compared(found: &Value, ignore: &[&str]) -> crate::compare::Comparison {
    let folder = Folder::new();
    let recorded = deployment().to_string();
    let recorded = folder.record("kubernetes", recorded.as_bytes()).unwrap();
    let with = With {
        ignore,
        ..With::all()
    };
    folder.compare("kubernetes", &recorded, found.to_string().as_bytes(), &with)
}

/// Goal: what the API writes by itself is no difference, and what others added is listed with
/// who did. Method: a live object with all of that.
#[test]
fn what_the_api_adds_is_no_difference() {
    let outcome = compared(&live(), &[]);
    assert_eq!((told(&outcome), outcome.objects_matched), (vec![], 1));
    let added: Vec<_> = outcome.added.iter().map(|it| it.path.as_str()).collect();
    assert!(
        added.contains(&"metadata.labels.mesh") && added.contains(&"spec.revisionHistoryLimit")
    );
    let mesh = outcome
        .added
        .iter()
        .find(|it| it.path.ends_with("mesh"))
        .unwrap();
    assert_eq!(mesh.found.as_deref(), Some("on, by mesh"));
}

/// Goal: every change is a difference at its very place. Method: one change at a time to the
/// live object.
#[test]
fn each_change_is_named_at_its_place() {
    let pod = "/spec/template/spec";
    let at = |below: &str| format!("{pod}{below}");
    let item = "spec.template.spec.containers";
    let cases = [
        (
            "/spec/replicas".to_owned(),
            json!(30),
            "changed spec.replicas".to_owned(),
        ),
        (
            "/spec/replicas".to_owned(),
            json!("3"),
            "changed spec.replicas".to_owned(),
        ),
        (
            at("/hostNetwork"),
            json!(true),
            "changed spec.template.spec.hostNetwork".to_owned(),
        ),
        (
            at("/hostPID"),
            json!(true),
            "added spec.template.spec.hostPID".to_owned(),
        ),
        (
            at("/dnsPolicy"),
            json!("None"),
            "added spec.template.spec.dnsPolicy".to_owned(),
        ),
        (
            at("/serviceAccountName"),
            json!("root"),
            "added spec.template.spec.serviceAccountName".to_owned(),
        ),
        (
            at("/containers/1/image"),
            json!("web@sha256:9"),
            format!("changed {item}[web].image"),
        ),
        (
            at("/containers/1/args/1"),
            json!("c"),
            format!("changed {item}[web].args[1]"),
        ),
        (
            at("/containers/1/command"),
            json!(["sh"]),
            format!("added {item}[web].command"),
        ),
        (
            at("/containers/1/env/0/value"),
            json!("2"),
            format!("changed {item}[web].env[LEVEL].value"),
        ),
        (
            at("/containers/1/resources/limits/cpu"),
            json!("2"),
            format!("changed {item}[web].resources.limits.cpu"),
        ),
        (
            at("/containers/1/securityContext"),
            json!({"privileged": true}),
            format!("added {item}[web].securityContext"),
        ),
        (
            at("/containers/0"),
            json!({"name": "other", "image": "x"}),
            format!("missing {item}[side]"),
        ),
        (
            at("/volumes/0"),
            json!({"name": "tmp", "hostPath": {"path": "/"}}),
            "missing spec.template.spec.volumes[tmp].emptyDir".to_owned(),
        ),
    ];
    for (pointer, to, expected) in cases {
        let told = told(&compared(&changed(&live(), &pointer, to), &[]));
        assert!(
            told.contains(&expected),
            "{pointer}: {told:?} and not {expected}"
        );
    }
    let mut gone = live();
    gone["spec"].as_object_mut().unwrap().remove("replicas");
    assert_eq!(told(&compared(&gone, &[])), ["missing spec.replicas"]);
}

/// Goal: what was signed to be ignored is counted and nothing more. Method: the pointer, one
/// to an item of a list, and one that only begins alike.
#[test]
fn what_is_ignored_is_counted() {
    let found = changed(&live(), "/spec/replicas", json!(30));
    let outcome = compared(&found, &["*#/spec/replicas"]);
    assert_eq!((told(&outcome), outcome.ignored), (vec![], 1));
    let outcome = compared(
        &found,
        &["kubernetes/apps/Deployment/shop/web#/spec/replica"],
    );
    assert_eq!(
        (told(&outcome), outcome.ignored),
        (vec!["changed spec.replicas".to_owned()], 0)
    );
    let found = changed(
        &live(),
        "/spec/template/spec/containers/1/image",
        json!("x"),
    );
    let pointer = "*#/spec/template/spec/containers/web/image";
    let outcome = compared(&found, &[pointer]);
    assert_eq!((told(&outcome), outcome.ignored), (vec![], 1));
}
