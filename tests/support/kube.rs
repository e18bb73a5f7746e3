//! A Kubernetes API in memory, for kubectl and helm themselves to talk to, over loopback.
//!
//! What it says is what the real one says of the resources in [`resources`]: discovery, get,
//! list, create, replace, the four kinds of patches, delete, `scale`, uid and versions, who
//! manages which field, the defaults that it fills in, and who may not ask. Absent: watches,
//! schemas, quotas, conflicts of managers, and whatever runs.

mod admission;
mod defaults;
mod http;
mod managed;
mod patch;
mod protobuf;
mod resources;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use ::http::Method;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

use admission::Admission;
use http::{Asked, Refusal, serve};
use resources::Resource;

/// The API, until it is dropped.
pub(crate) struct Kube {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Kube {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let shared = state.clone();
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Self {
            address: told.recv().unwrap(),
            state,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes what kubectl needs to find it.
    pub(crate) fn write_config(&self, path: &Path) {
        write_config(path, &json!({"server": self.url()}), &json!({}));
    }

    /// Changes what happens to what is written from now on.
    pub(crate) fn admits(&self, change: impl FnOnce(&mut Admission)) {
        change(&mut self.state.lock().unwrap().admission);
    }

    /// From now on nobody may do anything with a resource, `secrets`, or this to any: `PATCH`.
    pub(crate) fn forbid(&self, plural: &str) {
        self.state
            .lock()
            .unwrap()
            .forbidden
            .insert(plural.to_owned());
    }

    pub(crate) fn allow_all(&self) {
        self.state.lock().unwrap().forbidden.clear();
    }

    /// Has an object as it is, status included: what the API's own parts write.
    pub(crate) fn has(&self, group: &'static str, plural: &'static str, object: &Value) {
        let text = |member: &str| object["metadata"][member].as_str().unwrap().to_owned();
        let key = Key {
            group,
            plural,
            namespace: text("namespace"),
            name: text("name"),
        };
        self.state
            .lock()
            .unwrap()
            .objects
            .insert(key, object.clone());
    }

    /// An object as it is kept; null if there is none.
    pub(crate) fn object(&self, plural: &str, namespace: &str, name: &str) -> Value {
        let state = self.state.lock().unwrap();
        let mut objects = state.objects.iter();
        let found = objects.find(|(key, _)| {
            key.plural == plural && key.namespace == namespace && key.name == name
        });
        found.map_or(Value::Null, |(_, object)| object.clone())
    }
}

impl Drop for Kube {
    fn drop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
        let _ = self.thread.take().map(thread::JoinHandle::join);
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    group: &'static str,
    plural: &'static str,
    namespace: String,
    name: String,
}

/// What a path names.
struct Target {
    resource: &'static Resource,
    namespace: String,
    name: Option<String>,
    part: Option<String>,
}

impl Target {
    fn key(&self, name: &str) -> Key {
        Key {
            group: self.resource.group,
            plural: self.resource.plural,
            namespace: self.namespace.clone(),
            name: name.to_owned(),
        }
    }

    fn refusal(&self, code: u16, reason: &'static str, name: &str, what: &str) -> Refusal {
        let Resource { group, plural, .. } = self.resource;
        let dotted = if group.is_empty() {
            (*plural).to_owned()
        } else {
            format!("{plural}.{group}")
        };
        Refusal::new(code, reason, &format!("{dotted} {name:?} {what}"))
    }
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Value>,
    forbidden: BTreeSet<String>,
    admission: Admission,
    version: u64,
}

type Answer = Result<(u16, Value), Refusal>;

impl State {
    fn answer(&mut self, asked: &Asked) -> Answer {
        if let Some(document) = resources::document(&asked.path) {
            return Ok((200, document));
        }
        let Some(target) = resources::target(&asked.path) else {
            let what = "the server could not find the requested resource";
            return Err(Refusal::new(404, "NotFound", what));
        };
        let names = [target.resource.plural, asked.method.as_str()];
        if names.iter().any(|name| self.forbidden.contains(*name)) {
            let name = target.name.as_deref().unwrap_or_default();
            return Err(target.refusal(
                403,
                "Forbidden",
                name,
                "is forbidden: User \"test\" cannot do that",
            ));
        }
        match (&asked.method, &target.name) {
            (&Method::GET, None) => Ok((200, self.list(asked, &target))),
            (&Method::GET, Some(name)) => {
                let object = self.get(&target, name)?;
                Ok((200, scale_or(object, &target)))
            }
            (&Method::POST, None) => self.create(asked, &target),
            (&Method::PUT, Some(name)) => self.replace(asked, &target, name),
            (&Method::PATCH, Some(name)) => self.patch(asked, &target, name),
            (&Method::DELETE, Some(name)) => {
                let object = self.get(&target, name)?.clone();
                self.objects.remove(&target.key(name));
                Ok((200, object))
            }
            _ => Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "not this method here",
            )),
        }
    }

    fn get(&self, target: &Target, name: &str) -> Result<&Value, Refusal> {
        let found = self.objects.get(&target.key(name));
        found.ok_or_else(|| target.refusal(404, "NotFound", name, "not found"))
    }

    /// Objects of a resource, in a namespace or in all; by labels where that is asked for.
    fn list(&self, asked: &Asked, target: &Target) -> Value {
        let selector = asked.query.get("labelSelector").map(String::as_str);
        let fields = asked.query.get("fieldSelector");
        let name = fields.and_then(|fields| fields.strip_prefix("metadata.name="));
        let resource = target.resource;
        let items = self.objects.iter().filter(|(key, object)| {
            key.plural == resource.plural
                && key.group == resource.group
                && (target.namespace.is_empty() || key.namespace == target.namespace)
                && name.is_none_or(|name| key.name == name)
                && resources::has_labels(object, selector.unwrap_or_default())
        });
        // Items of a list say neither kind nor version, but kubectl's own answer does.
        let items: Vec<_> = items.map(|(_, object)| object.clone()).collect();
        json!({
            "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
            "metadata": {"resourceVersion": self.version.to_string()}, "items": items,
        })
    }

    fn create(&mut self, asked: &Asked, target: &Target) -> Answer {
        let object = asked.json()?;
        let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) else {
            return Err(Refusal::new(
                422,
                "Invalid",
                "metadata.name: Required value",
            ));
        };
        if self.objects.contains_key(&target.key(&name)) {
            return Err(target.refusal(409, "AlreadyExists", &name, "already exists"));
        }
        Ok((201, self.store(asked, target, &name, None, object)))
    }

    fn replace(&mut self, asked: &Asked, target: &Target, name: &str) -> Answer {
        let before = self.get(target, name)?.clone();
        let object = asked.json()?;
        let expected = &object["metadata"]["resourceVersion"];
        if expected.is_string() && *expected != before["metadata"]["resourceVersion"] {
            return Err(target.refusal(409, "Conflict", name, "has been modified"));
        }
        Ok((200, self.store(asked, target, name, Some(&before), object)))
    }

    fn patch(&mut self, asked: &Asked, target: &Target, name: &str) -> Answer {
        let before = self.objects.get(&target.key(name)).cloned();
        let patch = asked.json()?;
        let kind = asked.content_type.split(';').next().unwrap_or_default();
        if kind == "application/apply-patch+yaml" {
            if self.admission.refuses == Some(name) {
                return Err(target.refusal(422, "Invalid", name, "is invalid: field is immutable"));
            }
            let existed = before.is_some();
            let object = managed::applied(before.as_ref(), &patch, asked.manager());
            let status = if existed { 200 } else { 201 };
            return Ok((
                status,
                self.store_applied(asked, target, name, before.as_ref(), object, &patch),
            ));
        }
        let before = before.ok_or_else(|| target.refusal(404, "NotFound", name, "not found"))?;
        let mut object = before.clone();
        let wrong = |why: &str| Refusal::new(415, "UnsupportedMediaType", why);
        match kind {
            "application/merge-patch+json" => patch::merge(&mut object, &patch),
            "application/strategic-merge-patch+json" if target.resource.is_typed() => {
                patch::strategic(&mut object, &patch, "");
            }
            "application/json-patch+json" => {
                patch::operations(&mut object, &patch).map_err(wrong)?;
            }
            _ => return Err(wrong("the body of the request was in an unknown format")),
        }
        let stored = self.store(asked, target, name, Some(&before), object);
        Ok((200, scale_or(&stored, target)))
    }

    fn store_applied(
        &mut self,
        asked: &Asked,
        target: &Target,
        name: &str,
        before: Option<&Value>,
        mut object: Value,
        patch: &Value,
    ) -> Value {
        self.admission.admit(target.resource, &mut object);
        managed::apply(before, &mut object, patch, asked.manager());
        self.keep(asked, target, name, before, object)
    }

    fn store(
        &mut self,
        asked: &Asked,
        target: &Target,
        name: &str,
        before: Option<&Value>,
        mut object: Value,
    ) -> Value {
        self.admission.admit(target.resource, &mut object);
        let manager = asked.manager();
        managed::update(before, &mut object, manager);
        self.keep(asked, target, name, before, object)
    }

    /// Numbers it, and lets the controllers see it.
    fn keep(
        &mut self,
        asked: &Asked,
        target: &Target,
        name: &str,
        before: Option<&Value>,
        mut object: Value,
    ) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = self.version.to_string().into();
        if target.resource.namespaced {
            metadata["namespace"] = target.namespace.clone().into();
        }
        let kept = before.map(|before| &before["metadata"]);
        let made = |member: &str, fresh: Value| kept.map_or(fresh, |kept| kept[member].clone());
        metadata["uid"] = made(
            "uid",
            format!("00000000-0000-4000-8000-{:012x}", self.version).into(),
        );
        metadata["creationTimestamp"] = made("creationTimestamp", "2026-11-01T10:00:00Z".into());
        if asked
            .query
            .get("dryRun")
            .is_some_and(|value| value == "All")
        {
            return object;
        }
        defaults::control(target.resource, before, &mut object);
        self.objects.insert(target.key(name), object.clone());
        object
    }
}

/// The object, or what its `scale` is.
fn scale_or(object: &Value, target: &Target) -> Value {
    if target.part.as_deref() != Some("scale") {
        return object.clone();
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            "uid": object["metadata"]["uid"],
            "resourceVersion": object["metadata"]["resourceVersion"],
        },
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["spec"]["replicas"]},
    })
}

/// Writes what kubectl needs to find a cluster, as a user.
pub(crate) fn write_config(path: &Path, cluster: &Value, user: &Value) {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    std::fs::write(path, config.to_string()).unwrap();
}
