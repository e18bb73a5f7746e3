//! How objects are compared: the weaker of two ways, whether what was recorded is a part of
//! what is live. The API fills in defaults and webhooks add fields; these are listed.
//!
//! Not so where an addition changes what runs or is allowed: in the specification of pods, in
//! `data`, and in lists (a container, a rule, a subject), what was added is a difference, but
//! for what the API itself fills in ([`DEFAULTS`]). A pod that was recorded by itself is the
//! exception: admission writes into it as a matter of course.

use serde_json::Value;

use super::quantity;
use crate::compare::{Place, Rules};

pub(super) struct ObjectRules;

/// What the API fills into a pod's specification: the member, and the values it gives.
const DEFAULTS: [(&str, &[&str]); 20] = [
    ("dnsPolicy", &["\"ClusterFirst\""]),
    ("schedulerName", &["\"default-scheduler\""]),
    ("securityContext", &["{}"]),
    ("terminationGracePeriodSeconds", &["30"]),
    ("terminationMessagePath", &["\"/dev/termination-log\""]),
    ("terminationMessagePolicy", &["\"File\""]),
    ("imagePullPolicy", &["\"IfNotPresent\"", "\"Always\""]),
    ("resources", &["{}"]),
    ("protocol", &["\"TCP\""]),
    ("scheme", &["\"HTTP\""]),
    ("timeoutSeconds", &["1"]),
    ("periodSeconds", &["10"]),
    ("successThreshold", &["1"]),
    ("failureThreshold", &["3"]),
    ("defaultMode", &["420"]),
    ("emptyDir", &["{}"]),
    ("apiVersion", &["\"v1\""]),
    ("divisor", &["\"0\"", "0"]),
    ("service", &["\"\""]),
    ("expirationSeconds", &["3600"]),
];

/// What it fills into an object itself: the kind, the member, and the value it gives.
const DEFAULTS_OF_KIND: [(&str, &str, &str); 3] = [
    ("PriorityClass", "preemptionPolicy", "PreemptLowerPriority"),
    ("StorageClass", "reclaimPolicy", "Delete"),
    ("StorageClass", "volumeBindingMode", "Immediate"),
];

/// The same where only the member above tells what is meant.
const DEFAULTS_BELOW: [(&str, &str, &str); 4] = [
    // Of a container it would make a sidecar.
    ("spec", "restartPolicy", "\"Always\""),
    ("httpGet", "path", "\"/\""),
    ("hostPath", "type", "\"\""),
    ("spec", "volumeMode", "\"Filesystem\""),
];

/// The API's own groups, whose types it knows: it fills in, leaves out and spells anew. Of other
/// resources it keeps what it was given.
const OWN_GROUPS: [&str; 19] = [
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "apiregistration.k8s.io",
    "apps",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
    "events.k8s.io",
    "flowcontrol.apiserver.k8s.io",
    "networking.k8s.io",
    "node.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "scheduling.k8s.io",
    "storage.k8s.io",
];

/// Where amounts stand: the steps that lead there end so.
const AMOUNTS: [&[&str]; 17] = [
    &["resources", "limits", "*"],
    &["resources", "requests", "*"],
    &["spec", "limits", "*", "max", "*"],
    &["spec", "limits", "*", "min", "*"],
    &["spec", "limits", "*", "default", "*"],
    &["spec", "limits", "*", "defaultRequest", "*"],
    &["spec", "limits", "*", "maxLimitRequestRatio", "*"],
    &["spec", "hard", "*"],
    &["spec", "capacity", "*"],
    &["spec", "overhead", "*"],
    &["overhead", "podFixed", "*"],
    &["emptyDir", "sizeLimit"],
    &["resourceFieldRef", "divisor"],
    &["spec", "metrics", "*", "*", "target", "value"],
    &["spec", "metrics", "*", "*", "target", "averageValue"],
    &["capacity", "maximumVolumeSize"],
    &["metrics", "*", "averageValue"],
];

/// Members whose own members are names that people chose, with texts that mean what they say.
const MAPS: [&str; 8] = [
    "annotations",
    "binaryData",
    "data",
    "labels",
    "matchLabels",
    "nodeSelector",
    "parameters",
    "selector",
];

/// Numbers that the API leaves out where they are 0.
const LEFT_OUT_IF_ZERO: [&str; 5] = [
    "healthCheckNodePort",
    "hostPort",
    "initialDelaySeconds",
    "minReadySeconds",
    "nodePort",
];

/// Lists of containers.
pub(super) const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// Flags that the API leaves out where they are false.
const LEFT_OUT_IF_FALSE: [&str; 11] = [
    "hostNetwork",
    "hostPID",
    "hostIPC",
    "stdin",
    "stdinOnce",
    "tty",
    "readOnly",
    "paused",
    "publishNotReadyAddresses",
    "unschedulable",
    "shareProcessNamespace",
];

impl Rules for ObjectRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        place.is(&["status"]) || place.is(&["metadata", "managedFields"])
    }

    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        match place.last() {
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "imagePullSecrets" => &[("name", "")],
            "volumeMounts" => &[("mountPath", "")],
            "volumeDevices" => &[("devicePath", "")],
            "hostAliases" => &[("ip", "")],
            "ports" if place.steps().any(|step| CONTAINERS.contains(&step)) => {
                &[("containerPort", ""), ("protocol", "TCP")]
            }
            "ports" if place.is(&["spec", "ports"]) => &[("port", ""), ("protocol", "TCP")],
            "topologySpreadConstraints" => &[("topologyKey", ""), ("whenUnsatisfiable", "")],
            _ => &[],
        }
    }

    /// One runs after the other, and a variable sees those before it.
    fn ordered(&self, place: &Place<'_>) -> bool {
        matches!(place.last(), "initContainers" | "env")
    }

    fn same(&self, place: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        let amount = AMOUNTS.iter().any(|pattern| ends(place, pattern));
        amount && is_own(place.root) && quantity::same(recorded, found)
    }

    fn says_nothing(&self, place: &Place<'_>, recorded: &Value) -> bool {
        // The API drops the namespace of what has none.
        if recorded.is_null() || place.is(&["metadata", "namespace"]) {
            return true;
        }
        let above = place.steps().rev().nth(1).unwrap_or_default();
        if place.is_item() || !is_own(place.root) {
            return false;
        }
        let name = place.last();
        match recorded {
            Value::String(text) => text.is_empty() && !MAPS.contains(&above),
            Value::Array(items) => items.is_empty(),
            // `emptyDir: {}` is what a volume is, and an empty selector selects everything.
            Value::Object(members) => {
                members.is_empty()
                    && name != "emptyDir"
                    && above != "subresources"
                    && !name.to_lowercase().ends_with("selector")
            }
            Value::Bool(false) => LEFT_OUT_IF_FALSE.contains(&name),
            Value::Number(number) => number.as_u64() == Some(0) && LEFT_OUT_IF_ZERO.contains(&name),
            _ => false,
        }
    }

    fn alarms(&self, place: &Place<'_>, found: &Value) -> bool {
        if place.begins(&["pods"]) && is_workload(place.root) {
            // What a pod's admission put in is listed; see `pods`.
            return place.is(&["pods", "debugging", "*"]) || place.is(&["pods", "images", "*"]);
        }
        let kind = place.root.get("kind").and_then(Value::as_str);
        if kind == Some("Pod") {
            // These are put in later, by people.
            return place.begins(&["spec", "ephemeralContainers"]);
        }
        if place.is_item() || place.is(&["data", "*"]) || place.is(&["binaryData", "*"]) {
            return true;
        }
        if place.depth() == 1 {
            // All of a ConfigMap's data, a Role's rules, a binding's subjects.
            let listed = ["spec", "metadata", "status", "type"].contains(&place.last());
            return !listed && !is_default_of(kind, place, found);
        }
        opens(kind, place, found) || (in_pod(place) && !is_default(place, found))
    }

    fn author(&self, found: &Value, place: &Place<'_>) -> Option<String> {
        let managers = found.get("metadata")?.get("managedFields")?.as_array()?;
        let owner = managers.iter().find(|manager| {
            let fields = manager.get("fieldsV1");
            fields.is_some_and(|fields| owns(fields, place))
        })?;
        Some(owner.get("manager")?.as_str()?.to_owned())
    }
}

/// Whether what was added lets more in or out: a policy's rules, what a service stands for and who
/// reaches it. Lists that were not recorded at all are all of their items.
fn opens(kind: Option<&str>, place: &Place<'_>, found: &Value) -> bool {
    if place.begins(&["metadata"]) {
        return false;
    }
    let is = |member: &str| place.is(&["spec", member]);
    match kind {
        Some("NetworkPolicy") if place.begins(&["spec"]) => {
            // Without them, and where none is recorded, they are those of ingress at the least.
            let ingress = |found: &Value| {
                found
                    .as_array()
                    .is_some_and(|it| it.contains(&"Ingress".into()))
            };
            let types = is("policyTypes") && ingress(found);
            let filled = types || (place.last() == "protocol" && found == "TCP");
            place.depth() > 1 && !filled
        }
        Some("Service") => {
            let kind = is("type") && found != "ClusterIP";
            let who = is("externalIPs") || is("externalName") || is("loadBalancerSourceRanges");
            kind || who || is("selector") || place.is(&["spec", "selector", "*"])
        }
        Some("Ingress") => is("rules") || is("tls") || is("defaultBackend"),
        _ => false,
    }
}

/// Whether it is of the API's own kinds that have pods made.
pub(super) fn is_workload(object: &Value) -> bool {
    let text = |member: &str| {
        object
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let group = text("apiVersion")
        .split_once('/')
        .map_or("", |(group, _)| group);
    matches!(
        (group, text("kind")),
        (
            "apps",
            "DaemonSet" | "Deployment" | "ReplicaSet" | "StatefulSet"
        ) | ("batch", "CronJob" | "Job")
            | ("", "ReplicationController")
    )
}

/// Whether the API knows the type of an object.
pub(super) fn is_own(object: &Value) -> bool {
    let version = object.get("apiVersion").and_then(Value::as_str);
    match version.map(|version| version.split_once('/')) {
        Some(Some((group, _))) => OWN_GROUPS.contains(&group),
        Some(None) => true,
        None => false,
    }
}

/// Whether the last steps are these.
fn ends(place: &Place<'_>, pattern: &[&str]) -> bool {
    let mut steps = place.steps().rev();
    pattern.iter().rev().all(|name| {
        steps
            .next()
            .is_some_and(|step| *name == "*" || step == *name)
    })
}

/// Whether a place lies in the specification of a template's pods.
fn in_pod(place: &Place<'_>) -> bool {
    let steps: Vec<_> = place.steps().collect();
    let mut pairs = steps.windows(2);
    let template = pairs.position(|pair| pair == ["template", "spec"]);
    template.is_some_and(|at| steps.len() > at + 2)
}

fn is_default_of(kind: Option<&str>, place: &Place<'_>, found: &Value) -> bool {
    let mut all = DEFAULTS_OF_KIND.iter();
    is_own(place.root)
        && all.any(|(of, member, value)| {
            kind == Some(of) && place.last() == *member && found == value
        })
}

fn is_default(place: &Place<'_>, found: &Value) -> bool {
    let name = place.last();
    if name == "serviceAccount" {
        // The old name of `serviceAccountName`, which is compared where it is recorded.
        let pod = pod_of(place.root);
        let recorded = pod.and_then(|pod| pod.get("serviceAccountName"));
        return recorded.map_or(found == "default", |recorded| recorded == found);
    }
    if name == "serviceAccountName" {
        return found == "default";
    }
    let (above, text) = (place.steps().rev().nth(1), found.to_string());
    if name == "hostPort" {
        // A container of the host's network has its ports there.
        let on_host = pod_of(place.root).and_then(|pod| pod.get("hostNetwork"));
        let port = above.and_then(|port| port.split(':').next());
        return on_host == Some(&Value::Bool(true)) && port == Some(text.as_str());
    }
    let mut below = DEFAULTS_BELOW.iter();
    below.any(|(parent, member, value)| *member == name && Some(*parent) == above && *value == text)
        || DEFAULTS
            .iter()
            .any(|(member, values)| *member == name && values.contains(&text.as_str()))
}

/// The specification of the pods that an object has made.
pub(super) fn pod_of(object: &Value) -> Option<&Value> {
    let spec = object.get("spec")?;
    let job = spec.get("jobTemplate").and_then(|job| job.get("spec"));
    job.unwrap_or(spec).get("template")?.get("spec")
}

/// Whether a manager's fields name a place. SSA's form: `f:` members, `k:` items by their keys.
fn owns(fields: &Value, place: &Place<'_>) -> bool {
    let mut at = fields;
    for step in place.steps() {
        let Some(members) = at.as_object() else {
            return false;
        };
        let below = members.iter().find(|(name, _)| {
            name.strip_prefix("f:") == Some(step)
                || name.strip_prefix("k:").is_some_and(|key| is_key(key, step))
        });
        match below {
            Some((_, below)) => at = below,
            None => return false,
        }
    }
    true
}

/// Whether `{"containerPort":80,"protocol":"TCP"}` tells the item that is told as `80:TCP`.
fn is_key(key: &str, step: &str) -> bool {
    let Ok(Value::Object(members)) = serde_json::from_str(key) else {
        return false;
    };
    let texts = members.values().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    texts.collect::<Vec<_>>().join(":") == step
}

/// The images that all containers of an object name.
pub(super) fn images(object: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    let pod = match object.get("kind").and_then(Value::as_str) {
        Some("Pod") => object.get("spec"),
        _ => pod_of(object),
    };
    let lists = CONTAINERS
        .into_iter()
        .filter_map(move |list| pod?.get(list)?.as_array());
    Box::new(
        lists
            .flatten()
            .filter_map(|container| container.get("image")?.as_str()),
    )
}
