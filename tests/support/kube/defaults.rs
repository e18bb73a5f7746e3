//! What the API fills in, leaves out and spells in its own way, and what its controllers add.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{managed, resources::Resource};

/// Makes of what was given what the API keeps.
pub(super) fn fill(resource: &Resource, object: &mut Value) {
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.into();
    if !resource.is_typed() {
        return;
    }
    drop_empty(object);
    match resource.kind {
        "Secret" => secret(object),
        "Service" => service(object),
        "Pod" => pod(&mut object["spec"]),
        "Deployment" => {
            let spec = &mut object["spec"];
            or(spec, "replicas", json!(1));
            or(spec, "revisionHistoryLimit", json!(10));
            or(spec, "progressDeadlineSeconds", json!(600));
            or(spec, "strategy", json!({"type": "RollingUpdate"}));
            if spec["strategy"]["type"] == "RollingUpdate" {
                let quarter = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
                or(&mut spec["strategy"], "rollingUpdate", quarter);
            }
            pod(&mut spec["template"]["spec"]);
        }
        "StatefulSet" | "DaemonSet" => {
            or(&mut object["spec"], "revisionHistoryLimit", json!(10));
            or(
                &mut object["spec"],
                "updateStrategy",
                json!({"type": "RollingUpdate"}),
            );
            pod(&mut object["spec"]["template"]["spec"]);
        }
        "Job" => job(&mut object["spec"]),
        "CronJob" => {
            or(&mut object["spec"], "concurrencyPolicy", "Allow".into());
            or(&mut object["spec"], "suspend", false.into());
            job(&mut object["spec"]["jobTemplate"]["spec"]);
        }
        _ => {}
    }
}

fn or(object: &mut Value, member: &str, value: Value) {
    if object[member].is_null() {
        object[member] = value;
    }
}

fn secret(object: &mut Value) {
    or(object, "type", "Opaque".into());
    let given = object.as_object_mut().unwrap().remove("stringData");
    for (key, text) in given
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        object["data"][key] = STANDARD.encode(text.as_str().unwrap()).into();
    }
}

fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    for (member, value) in [
        ("type", json!("ClusterIP")),
        ("clusterIP", json!("10.96.7.7")),
        ("clusterIPs", json!(["10.96.7.7"])),
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
        ("internalTrafficPolicy", json!("Cluster")),
        ("sessionAffinity", json!("None")),
    ] {
        or(spec, member, value);
    }
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        or(port, "protocol", "TCP".into());
        let same = port["port"].clone();
        or(port, "targetPort", same);
    }
}

fn job(spec: &mut Value) {
    or(spec, "backoffLimit", json!(6));
    or(spec, "completions", json!(1));
    or(spec, "parallelism", json!(1));
    or(spec, "completionMode", "NonIndexed".into());
    pod(&mut spec["template"]["spec"]);
}

fn pod(spec: &mut Value) {
    for (member, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("terminationGracePeriodSeconds", json!(30)),
    ] {
        or(spec, member, value);
    }
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        spec["serviceAccount"] = account;
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            self::container(container);
        }
        if spec[list].is_null() {
            spec.as_object_mut().unwrap().remove(list);
        }
    }
    for volume in spec
        .get_mut("volumes")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        for source in ["configMap", "secret", "projected"] {
            if volume.get(source).is_some() {
                or(&mut volume[source], "defaultMode", json!(420));
            }
        }
    }
}

fn container(container: &mut Value) {
    let moving = container["image"].as_str().is_some_and(|image| {
        image.ends_with(":latest") || !image.rsplit('/').next().unwrap().contains([':', '@'])
    });
    let pull = if moving { "Always" } else { "IfNotPresent" };
    or(container, "imagePullPolicy", pull.into());
    or(
        container,
        "terminationMessagePath",
        "/dev/termination-log".into(),
    );
    or(container, "terminationMessagePolicy", "File".into());
    or(container, "resources", json!({}));
    for amounts in ["limits", "requests"] {
        let amounts = container["resources"].get_mut(amounts);
        for (_, amount) in amounts.and_then(Value::as_object_mut).into_iter().flatten() {
            *amount = quantity(amount).into();
        }
    }
    for port in container
        .get_mut("ports")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        or(port, "protocol", "TCP".into());
    }
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.get_mut(probe) else {
            continue;
        };
        for (member, value) in [
            ("timeoutSeconds", 1),
            ("periodSeconds", 10),
            ("successThreshold", 1),
            ("failureThreshold", 3),
        ] {
            or(probe, member, json!(value));
        }
        if probe.get("httpGet").is_some() {
            or(&mut probe["httpGet"], "scheme", "HTTP".into());
            or(&mut probe["httpGet"], "path", "/".into());
        }
    }
}

/// The spelling that the API gives an amount: `1000m` is `1`, `1024Mi` is `1Gi`.
fn quantity(given: &Value) -> String {
    let text = given
        .as_str()
        .map_or_else(|| given.to_string(), str::to_owned);
    let end = text.find(|letter: char| letter.is_ascii_alphabetic());
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    let (mut amount, mut unit) = (number.parse::<f64>().unwrap(), unit.to_owned());
    if unit == "m" && amount % 1000.0 == 0.0 {
        (amount, unit) = (amount / 1000.0, String::new());
    } else if unit.is_empty() && amount.fract() != 0.0 {
        (amount, unit) = (amount * 1000.0, "m".to_owned());
    }
    let binary = ["Ki", "Mi", "Gi", "Ti"];
    while let Some(at) = binary.iter().position(|name| *name == unit) {
        if amount.fract() != 0.0 {
            (amount, unit) = (amount * 1024.0, binary[at - 1].to_owned());
        } else if amount % 1024.0 == 0.0 && at + 1 < binary.len() {
            (amount, unit) = (amount / 1024.0, binary[at + 1].to_owned());
        } else {
            break;
        }
    }
    format!("{amount}{unit}")
}

/// What the API leaves out of what it knows the types of.
fn drop_empty(value: &mut Value) {
    const MAPS: [&str; 6] = [
        "labels",
        "annotations",
        "data",
        "matchLabels",
        "nodeSelector",
        "selector",
    ];
    const ZERO: [&str; 3] = ["initialDelaySeconds", "minReadySeconds", "hostPort"];
    const FALSE: [&str; 6] = [
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "stdin",
        "tty",
        "readOnly",
    ];
    match value {
        Value::Object(members) => {
            members.retain(|name, value| {
                if MAPS.contains(&name.as_str()) {
                    return !value.is_null();
                }
                drop_empty(value);
                match value {
                    Value::Null => false,
                    Value::String(text) => !text.is_empty(),
                    Value::Array(items) => !items.is_empty(),
                    Value::Bool(false) => !FALSE.contains(&name.as_str()),
                    Value::Number(number) => {
                        number.as_i64() != Some(0) || !ZERO.contains(&name.as_str())
                    }
                    _ => true,
                }
            });
        }
        Value::Array(items) => items.iter_mut().for_each(drop_empty),
        _ => {}
    }
}

/// Where the controller of Deployments counts how often their template changed.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// What the controllers write once they have seen an object.
pub(super) fn control(resource: &Resource, before: Option<&Value>, object: &mut Value) {
    if resource.kind != "Deployment" {
        return;
    }
    let given = object.clone();
    let last = before.map(|before| &before["metadata"]["annotations"][REVISION]);
    let last = last
        .and_then(Value::as_str)
        .and_then(|text| text.parse::<u64>().ok());
    let rolled = before.is_none_or(|it| it["spec"]["template"] != object["spec"]["template"]);
    let revision = last.unwrap_or(0) + u64::from(rolled);
    object["metadata"]["annotations"][REVISION] = revision.to_string().into();
    let replicas = object["spec"]["replicas"].clone();
    object["status"] =
        json!({"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas});
    managed::update(Some(&given), object, "kube-controller-manager");
}
