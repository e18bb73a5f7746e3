//! Which resources there are, how paths name them, and what discovery says of them.

use serde_json::{Map, Value, json};

use super::Target;

pub(super) struct Resource {
    /// Empty for the core group.
    pub(super) group: &'static str,
    pub(super) version: &'static str,
    pub(super) plural: &'static str,
    pub(super) kind: &'static str,
    pub(super) namespaced: bool,
}

const fn of(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        kind,
        namespaced: true,
    }
}

const fn of_cluster(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
) -> Resource {
    Resource {
        group,
        version,
        plural,
        kind,
        namespaced: false,
    }
}

const RBAC: &str = "rbac.authorization.k8s.io";
const NETWORK: &str = "networking.k8s.io";

static ALL: [Resource; 22] = [
    of_cluster("", "v1", "namespaces", "Namespace"),
    of("", "v1", "configmaps", "ConfigMap"),
    of("", "v1", "secrets", "Secret"),
    of("", "v1", "services", "Service"),
    of("", "v1", "serviceaccounts", "ServiceAccount"),
    of("", "v1", "pods", "Pod"),
    of("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"),
    of("apps", "v1", "deployments", "Deployment"),
    of("apps", "v1", "replicasets", "ReplicaSet"),
    of("apps", "v1", "statefulsets", "StatefulSet"),
    of("apps", "v1", "daemonsets", "DaemonSet"),
    of("batch", "v1", "jobs", "Job"),
    of("batch", "v1", "cronjobs", "CronJob"),
    of(RBAC, "v1", "roles", "Role"),
    of(RBAC, "v1", "rolebindings", "RoleBinding"),
    of_cluster(RBAC, "v1", "clusterroles", "ClusterRole"),
    of_cluster(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding"),
    of(NETWORK, "v1", "ingresses", "Ingress"),
    of(NETWORK, "v1", "networkpolicies", "NetworkPolicy"),
    of(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "HorizontalPodAutoscaler",
    ),
    of(
        "policy",
        "v1",
        "poddisruptionbudgets",
        "PodDisruptionBudget",
    ),
    of("example.com", "v1", "widgets", "Widget"),
];

impl Resource {
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Whether the API knows its fields, or takes whatever is given.
    pub(super) fn is_typed(&self) -> bool {
        self.group != "example.com"
    }

    fn has_scale(&self) -> bool {
        matches!(self.plural, "deployments" | "statefulsets")
    }
}

/// What a path below `/api` or `/apis` names.
pub(super) fn target(path: &str) -> Option<Target> {
    let mut steps = path.strip_prefix('/')?.split('/');
    let group = match steps.next()? {
        "api" => "",
        "apis" => steps.next()?,
        _ => return None,
    };
    let version = steps.next()?;
    let mut rest: Vec<_> = steps.collect();
    let mut namespace = String::new();
    if let ["namespaces", name, _, ..] = rest.as_slice() {
        (*name).clone_into(&mut namespace);
        rest.drain(..2);
    }
    let resource = ALL.iter().find(|it| {
        it.group == group && it.version == version && Some(&it.plural) == rest.first()
    })?;
    let name = rest.get(1).map(|name| super::http::unescaped(name));
    let part = rest.get(2).map(|part| (*part).to_owned());
    Some(Target {
        resource,
        namespace,
        name,
        part,
    })
}

/// What discovery says at a path; `None` where that is no document of discovery.
pub(super) fn document(path: &str) -> Option<Value> {
    match path {
        "/version" => {
            return Some(json!({"major": "1", "minor": "32", "gitVersion": "v1.32.4"}));
        }
        "/api" => return Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => return Some(groups()),
        "/openapi/v3" => return Some(schemas()),
        _ => {}
    }
    let (gv, schema) = match path.strip_prefix("/openapi/v3/") {
        Some(rest) => (rest, true),
        None => (path.strip_prefix('/')?, false),
    };
    let of_version = ALL.iter().filter(|it| place(it) == gv);
    let of_version: Vec<_> = of_version.collect();
    let first = of_version.first()?;
    if schema {
        return Some(schema_of(&of_version));
    }
    let resources: Vec<_> = of_version.iter().flat_map(|it| listed(it)).collect();
    Some(json!({
        "kind": "APIResourceList", "apiVersion": "v1", "groupVersion": first.api_version(),
        "resources": resources,
    }))
}

/// `api/v1`, `apis/apps/v1`.
fn place(resource: &Resource) -> String {
    let root = if resource.group.is_empty() {
        "api"
    } else {
        "apis"
    };
    format!("{root}/{}", resource.api_version())
}

fn listed(resource: &Resource) -> Vec<Value> {
    let verbs = ["create", "delete", "get", "list", "patch", "update"];
    let mut all = vec![json!({
        "name": resource.plural, "singularName": resource.kind.to_lowercase(),
        "namespaced": resource.namespaced, "kind": resource.kind, "verbs": verbs,
        "shortNames": short(resource.kind),
    })];
    if resource.has_scale() {
        all.push(json!({
            "name": format!("{}/scale", resource.plural), "singularName": "",
            "namespaced": true, "kind": "Scale", "group": "autoscaling", "version": "v1",
            "verbs": ["get", "patch", "update"],
        }));
    }
    all
}

fn short(kind: &str) -> Vec<&'static str> {
    match kind {
        "ConfigMap" => vec!["cm"],
        "Deployment" => vec!["deploy"],
        "Namespace" => vec!["ns"],
        "Service" => vec!["svc"],
        _ => Vec::new(),
    }
}

fn groups() -> Value {
    let mut groups: Vec<Value> = Vec::new();
    for resource in ALL.iter().filter(|it| !it.group.is_empty()) {
        let version = json!({
            "groupVersion": resource.api_version(), "version": resource.version,
        });
        if groups.iter().all(|group| group["name"] != resource.group) {
            groups.push(json!({
                "name": resource.group, "versions": [version], "preferredVersion": version,
            }));
        }
    }
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
}

/// So much of the schemas as tells that the API checks fields itself.
fn schemas() -> Value {
    let mut paths = Map::new();
    for resource in &ALL {
        let place = place(resource);
        let url = format!("/openapi/v3/{place}?hash=1");
        paths.insert(place, json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

fn schema_of(resources: &[&Resource]) -> Value {
    let mut paths = Map::new();
    for resource in resources {
        let path = format!("/{}/{}/{{name}}", place(resource), resource.plural);
        paths.insert(
            path,
            json!({"patch": {
                "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": {
                    "group": resource.group, "version": resource.version, "kind": resource.kind,
                },
                "parameters": [{"name": "fieldValidation", "in": "query"}],
                "responses": {},
            }}),
        );
    }
    json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.4"},
        "paths": paths, "components": {"schemas": {}},
    })
}

/// `a=b,c!=d,e in (f,g)`, as far as helm and kubectl ask.
pub(super) fn has_labels(object: &Value, selector: &str) -> bool {
    let label = |name: &str| {
        object["metadata"]["labels"][name]
            .as_str()
            .unwrap_or_default()
    };
    let parts = selector.split(',').filter(|part| !part.is_empty());
    { parts }.all(|part| match part.split_once("!=") {
        Some((name, value)) => label(name) != value,
        None => match part.split_once('=') {
            Some((name, value)) => label(name) == value.trim_start_matches('='),
            None => !label(part).is_empty(),
        },
    })
}
