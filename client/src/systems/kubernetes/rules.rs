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

/// What the API fills into a pod's specification: the member, and the values it gives. No value
/// stands for any: what the member says, another one that is recorded says already.
const DEFAULTS: [(&str, &[&str]); 22] = [
    ("restartPolicy", &["\"Always\""]),
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
    ("type", &["\"\""]),
    ("apiVersion", &["\"v1\""]),
    ("divisor", &["\"0\"", "0"]),
    ("requests", &[]),
    ("service", &["\"\""]),
];

/// Members that hold amounts, or whose members do.
const AMOUNTS: [&str; 14] = [
    "limits",
    "requests",
    "hard",
    "capacity",
    "allocatable",
    "sizeLimit",
    "divisor",
    "max",
    "min",
    "default",
    "defaultRequest",
    "maxLimitRequestRatio",
    "averageValue",
    "value",
];

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
            "ports"
                if place
                    .steps()
                    .any(|step| step == "containers" || step == "initContainers") =>
            {
                &[("containerPort", ""), ("protocol", "TCP")]
            }
            "ports" if place.is(&["spec", "ports"]) => &[("port", ""), ("protocol", "TCP")],
            "topologySpreadConstraints" => &[("topologyKey", ""), ("whenUnsatisfiable", "")],
            _ => &[],
        }
    }

    fn same(&self, place: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        let amounts = place
            .steps()
            .rev()
            .take(2)
            .any(|step| AMOUNTS.contains(&step));
        amounts && !is_text_of_its_own(place) && quantity::same(recorded, found)
    }

    fn says_nothing(&self, place: &Place<'_>, recorded: &Value) -> bool {
        match recorded {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            // `emptyDir: {}` is what a volume is; without it, it is another.
            Value::Object(members) => members.is_empty() && place.last() != "emptyDir",
            Value::Bool(false) => LEFT_OUT_IF_FALSE.contains(&place.last()),
            _ => false,
        }
    }

    fn alarms(&self, place: &Place<'_>, found: &Value) -> bool {
        let kind = place.root.get("kind").and_then(Value::as_str);
        if kind == Some("Pod") {
            return false;
        }
        if place.is_item() || place.is(&["data", "*"]) || place.is(&["binaryData", "*"]) {
            return true;
        }
        if place.depth() == 1 {
            // All of a ConfigMap's data, a Role's rules, a binding's subjects.
            return !matches!(place.last(), "spec" | "metadata" | "status" | "type");
        }
        in_pod(place) && !is_default(place, found)
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

/// `env` has values that are text, whatever they look like.
fn is_text_of_its_own(place: &Place<'_>) -> bool {
    let text = ["env", "data", "annotations", "labels", "args", "command"];
    place.steps().any(|step| text.contains(&step))
}

/// Whether a place lies in the specification of a template's pods.
fn in_pod(place: &Place<'_>) -> bool {
    let steps: Vec<_> = place.steps().collect();
    let mut pairs = steps.windows(2);
    let template = pairs.position(|pair| pair == ["template", "spec"]);
    template.is_some_and(|at| steps.len() > at + 2)
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
    let found = found.to_string();
    let known = DEFAULTS.iter().find(|(member, _)| *member == name);
    known.is_some_and(|(_, values)| values.contains(&found.as_str()))
}

fn pod_of(object: &Value) -> Option<&Value> {
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
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let lists = lists
        .into_iter()
        .filter_map(move |list| pod?.get(list)?.as_array());
    Box::new(
        lists
            .flatten()
            .filter_map(|container| container.get("image")?.as_str()),
    )
}
