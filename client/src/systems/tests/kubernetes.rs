//! Kubernetes' rules: what an API leaves out, fills in and spells anew, and what somebody did.

use serde_json::{Value, json};

use crate::{
    compare::{Signed, compare_fields},
    systems::{kubernetes::MEDIA_TYPE, rules},
};

/// Goal: only of workloads are pods told below `pods`, and of a pod by itself no container is put
/// in later without notice. Method: a resource of somebody's own with such a member; a pod.
#[test]
fn what_others_call_pods_is_a_difference() {
    let pods = json!({"injected": {"a": "b"}});
    for (version, kind, differs_at) in [
        ("apps/v1", "StatefulSet", vec![]),
        ("apps.example.com/v1", "StatefulSet", vec!["pods"]),
        ("apps/v1", "Widget", vec!["pods"]),
    ] {
        let recorded = json!({"apiVersion": version, "kind": kind, "spec": {}});
        let mut found = recorded.clone();
        found["pods"] = pods.clone();
        assert_eq!(differs(&recorded, &found), differs_at, "{version} {kind}");
    }
    let recorded = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []}});
    let mut found = recorded.clone();
    found["spec"]["ephemeralContainers"] = json!([{"name": "spy", "image": "evil:1"}]);
    assert_eq!(differs(&recorded, &found), ["spec.ephemeralContainers"]);
}

/// The paths of what differs.
fn differs(recorded: &Value, found: &Value) -> Vec<String> {
    let signed = Signed {
        ignore: &[],
        accept: false,
    };
    let fields = compare_fields(recorded, found, rules(MEDIA_TYPE).unwrap(), signed);
    fields.differences.into_iter().map(|it| it.path).collect()
}

fn deployment(pod: &Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"template": {"spec": pod}},
    })
}

fn port(port: &Value) -> Value {
    json!({"containers": [{"name": "a", "ports": [port]}]})
}

fn on_host(host: bool, port_on_host: u16) -> Value {
    let mut pod = port(&json!({"containerPort": 80, "hostPort": port_on_host}));
    pod["hostNetwork"] = host.into();
    pod
}

fn limits(cpu: &str) -> Value {
    json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": cpu}}}]})
}

fn volume(source: &Value) -> Value {
    json!({"volumes": [source]})
}

/// A specification of pods as it was given, and as the API has it.
fn the_same() -> Vec<(Value, Value)> {
    let plain = json!({"containerPort": 80});
    let mut host = port(&plain);
    host["hostNetwork"] = true.into();
    let root = json!({"name": "a", "hostPath": {"path": "/"}});
    let typed = json!({"name": "a", "hostPath": {"path": "/", "type": ""}});
    let account = json!({"serviceAccountName": "default", "serviceAccount": "default"});
    let tcp = json!({"containerPort": 80, "protocol": "TCP"});
    vec![
        (json!({}), json!({"restartPolicy": "Always"})),
        (host, on_host(true, 80)),
        (port(&plain), port(&tcp)),
        (volume(&root), volume(&typed)),
        (limits("1000m"), limits("1")),
        (json!({"hostAliases": [], "hostPID": false}), json!({})),
        (json!({}), account),
    ]
}

/// And as somebody else has it.
fn others() -> Vec<(Value, Value)> {
    let init = |more: Value| json!({"initContainers": [more]});
    let sidecar = init(json!({"name": "a", "restartPolicy": "Always"}));
    let plain = json!({"containerPort": 80});
    let (mut on, mut off) = (port(&plain), port(&plain));
    (on["hostNetwork"], off["hostNetwork"]) = (true.into(), false.into());
    let empty = json!({"name": "a", "emptyDir": {}});
    let select = |max: &str| json!({"nodeSelector": {"max": max}});
    let role = json!({"nodeSelector": {"role": ""}});
    let account = json!({"automountServiceAccountToken": false});
    vec![
        (init(json!({"name": "a"})), sidecar),
        (on, on_host(true, 81)),
        (off, on_host(false, 80)),
        (port(&plain), port(&json!({"containerPort": 81}))),
        (volume(&empty), volume(&json!({"name": "a"}))),
        (limits("1"), limits("1m")),
        (select("1000m"), select("1")),
        (role, json!({"nodeSelector": {}})),
        (account, json!({})),
        (json!({}), json!({"serviceAccountName": "admin"})),
    ]
}

/// Goal: what the API does to a pod's specification is no difference, and what somebody does is.
/// Method: pairs.
#[test]
fn the_specification_of_pods_is_compared_as_the_api_keeps_it() {
    let told =
        |(recorded, found): &(Value, Value)| differs(&deployment(recorded), &deployment(found));
    for pair in the_same() {
        assert_eq!(told(&pair), Vec::<String>::new(), "{pair:?}");
    }
    for pair in others() {
        assert!(!told(&pair).is_empty(), "{pair:?}");
    }
}

/// Goal: what is empty and means everything is not taken for what means nothing; and what other
/// resources say is taken as it stands. Method: pairs of specifications.
#[test]
fn what_is_empty_may_mean_everything() {
    let policy = |spec: Value| json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "spec": spec});
    let own = |spec: Value| json!({"apiVersion": "example.com/v1", "kind": "Foo", "spec": spec});
    let from = |from: Value| json!({"ingress": [{"from": [from]}]});
    let pairs = [
        (
            policy(json!({"ingress": [{}]})),
            policy(json!({"ingress": []})),
            false,
        ),
        (policy(json!({"egress": []})), policy(json!({})), true),
        (
            policy(from(json!({"namespaceSelector": {}}))),
            policy(from(json!({}))),
            false,
        ),
        (own(json!({"selfSigned": {}})), own(json!({})), false),
        (own(json!({"on": false})), own(json!({})), false),
        (
            own(json!({"limits": {"max": "1000m"}})),
            own(json!({"limits": {"max": "1"}})),
            false,
        ),
        (own(json!({"off": null})), own(json!({})), true),
    ];
    for (recorded, found, same) in pairs {
        let told = differs(&recorded, &found);
        assert_eq!(told.is_empty(), same, "{recorded} {found} {told:?}");
    }
}

/// Goal: what the API fills into an object itself is no difference where it is its default, and
/// a namespace is none of what has none. Method: as the API answers, and as somebody changed it.
#[test]
fn what_the_api_fills_into_an_object_is_its_default_alone() {
    let class = |reclaim: &str| {
        json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "fast", "uid": "1"}, "provisioner": "example.com/x",
            "reclaimPolicy": reclaim, "volumeBindingMode": "Immediate",
        })
    };
    let recorded = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": {"name": "fast", "namespace": "shop"}, "provisioner": "example.com/x",
    });
    assert_eq!(differs(&recorded, &class("Delete")), Vec::<String>::new());
    assert_eq!(differs(&recorded, &class("Retain")), ["reclaimPolicy"]);
    let mut moved = class("Delete");
    moved["metadata"]["namespace"] = "other".into();
    assert!(!differs(&recorded, &moved).is_empty());
    let mut custom = class("Delete");
    custom["apiVersion"] = "example.com/v1".into();
    let mut own = recorded;
    own["apiVersion"] = custom["apiVersion"].clone();
    assert!(!differs(&own, &custom).is_empty());
}
