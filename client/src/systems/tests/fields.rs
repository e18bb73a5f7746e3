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

/// Where to change what, and the difference that this is.
type Change = (String, Value, String);

fn of_pods() -> Vec<Change> {
    let changes = [
        ("hostNetwork", json!(true), "changed", "hostNetwork"),
        ("hostPID", json!(true), "added", "hostPID"),
        ("dnsPolicy", json!("None"), "added", "dnsPolicy"),
        (
            "serviceAccountName",
            json!("root"),
            "added",
            "serviceAccountName",
        ),
        (
            "volumes/0",
            json!({"name": "tmp", "hostPath": {"path": "/"}}),
            "missing",
            "volumes[tmp].emptyDir",
        ),
    ];
    let changes = changes.into_iter().map(|(at, to, kind, path)| {
        let pointer = format!("/spec/template/spec/{at}");
        (pointer, to, format!("{kind} spec.template.spec.{path}"))
    });
    let replicas = [json!(30), json!("3")].map(|to| {
        (
            "/spec/replicas".to_owned(),
            to,
            "changed spec.replicas".to_owned(),
        )
    });
    changes.chain(replicas).collect()
}

fn of_containers() -> Vec<Change> {
    let other = json!({"name": "other", "image": "x"});
    let changes = [
        ("1/image", json!("web@sha256:9"), "changed", "[web].image"),
        ("1/args/1", json!("c"), "changed", "[web].args[1]"),
        ("1/command", json!(["sh"]), "added", "[web].command"),
        (
            "1/env/0/value",
            json!("2"),
            "changed",
            "[web].env[LEVEL].value",
        ),
        (
            "1/resources/limits/cpu",
            json!("2"),
            "changed",
            "[web].resources.limits.cpu",
        ),
        (
            "1/securityContext",
            json!({"privileged": true}),
            "added",
            "[web].securityContext",
        ),
        ("0", other.clone(), "missing", "[side]"),
        ("0", other, "added", "[other]"),
    ];
    let changes = changes.into_iter().map(|(at, to, kind, path)| {
        let pointer = format!("/spec/template/spec/containers/{at}");
        (
            pointer,
            to,
            format!("{kind} spec.template.spec.containers{path}"),
        )
    });
    changes.collect()
}

/// Goal: every change is a difference at its very place. Method: one change at a time to the
/// live object.
#[test]
fn each_change_is_named_at_its_place() {
    let cases = of_pods().into_iter().chain(of_containers());
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

/// Goal: what lets more in is a difference, though nothing of it was recorded. Method: a policy
/// that denies all, and a service, opened in each way.
#[test]
fn what_lets_more_in_is_a_difference() {
    let object = |kind: &str, group: &str, spec: &Value| {
        json!({"apiVersion": group, "kind": kind, "metadata": {"name": "x", "namespace": "shop"},
               "spec": spec})
    };
    let policy = |spec: &Value| object("NetworkPolicy", "networking.k8s.io/v1", spec);
    let service = |spec: &Value| object("Service", "v1", spec);
    let deny = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
    let ports = json!({"ports": [{"port": 80}]});
    let cases = [
        (
            policy(&deny),
            policy(&changed(&deny, "/ingress", json!([{}]))),
            "added spec.ingress",
        ),
        (
            policy(&json!({"podSelector": {}})),
            policy(&json!({"podSelector": {}, "policyTypes": ["Egress"]})),
            "added spec.policyTypes",
        ),
        (
            service(&ports),
            service(&changed(&ports, "/externalIPs", json!(["192.0.2.1"]))),
            "added spec.externalIPs",
        ),
        (
            service(&ports),
            service(&changed(&ports, "/type", json!("LoadBalancer"))),
            "added spec.type",
        ),
    ];
    let folder = Folder::new();
    for (recorded, found, expected) in cases {
        let recorded = folder
            .record("kubernetes", recorded.to_string().as_bytes())
            .unwrap();
        let found = found.to_string();
        let outcome = folder.compare("kubernetes", &recorded, found.as_bytes(), &With::all());
        assert_eq!(told(&outcome), [expected]);
    }
}

/// Goal: what runs one after the other is compared in its order. Method: variables, the second of
/// which sees the first, swapped.
#[test]
fn the_order_of_variables_is_compared() {
    let mut recorded = deployment();
    let env = "/spec/template/spec/containers/0/env";
    let (one, other) = (
        json!({"name": "A", "value": "1"}),
        json!({"name": "B", "value": "$(A)"}),
    );
    *recorded.pointer_mut(env).unwrap() = json!([one, other]);
    let swapped = changed(&recorded, env, json!([other, one]));
    let folder = Folder::new();
    let recorded = folder
        .record("kubernetes", recorded.to_string().as_bytes())
        .unwrap();
    let swapped = swapped.to_string();
    let outcome = folder.compare("kubernetes", &recorded, swapped.as_bytes(), &With::all());
    assert_eq!(
        told(&outcome),
        ["changed spec.template.spec.containers[web].env"]
    );
}
