//! What stands between those who write and what is kept: webhooks, and types that the API
//! itself does not know.

use serde_json::{Value, json};

use super::{defaults, resources::Resource};

/// What is switched on.
#[derive(Default)]
pub(crate) struct Admission {
    /// A webhook has all images come from this registry.
    pub(crate) mirror: Option<&'static str>,
    /// Widgets are converted by a program that spells amounts in its own way and leaves out
    /// what is empty, as Go's types do.
    pub(crate) converts: bool,
    /// A webhook takes away what says no, spells arguments and settings otherwise, and raises
    /// what is a limit.
    pub(crate) loosens: bool,
    /// Deployments of that name are refused.
    pub(crate) refuses: Option<&'static str>,
}

impl Admission {
    pub(super) fn admit(&self, resource: &Resource, object: &mut Value) {
        defaults::fill(resource, object);
        let containers = object.pointer_mut("/spec/template/spec/containers");
        let containers = containers.and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(mirror) = self.mirror {
                let image = container["image"].as_str().unwrap();
                let name = image.rsplit('/').next().unwrap();
                container["image"] = format!("{mirror}/{name}").into();
            }
            if self.loosens {
                container.as_object_mut().unwrap().remove("securityContext");
                container["args"] = json!(["7"]);
            }
        }
        if self.loosens && resource.kind == "ConfigMap" {
            object["data"]["mode"] = "644".into();
        }
        if self.loosens && resource.kind == "Widget" {
            object["spec"]["max"] = "64Gi".into();
        }
        if self.converts && resource.kind == "Widget" {
            let spec = object["spec"].as_object_mut().unwrap();
            if spec.get("max").is_some_and(|max| max == "1000m") {
                spec["max"] = "1".into();
            }
            spec.retain(|_, value| *value != false && *value != json!({}));
        }
    }
}
