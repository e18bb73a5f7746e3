//! Asking the cluster, through kubectl: its configuration and its credentials are the caller's.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    thread,
};

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    super::{strict, tool::Tool},
    Desk, Identity, Wanted,
    owned::List,
};
use crate::{detail::printable, sources::SourceError};

/// Objects of one kind and namespace that are asked for by name; more are listed.
const NAMED_MAX: usize = 16;
/// Objects of all kinds that are asked for by name at once: each is a request of its own.
const NAMED_AT_ONCE: usize = 128;

/// Calls of kubectl at once.
const AT_ONCE: usize = 4;

/// What is asked for of one kind.
type Objects<'w> = Vec<(&'w ArtifactName, &'w Identity)>;
/// The same of all kinds of one namespace, by the resource as kubectl takes it.
type Kinds<'w> = BTreeMap<String, Objects<'w>>;

/// What the API has of what was recorded. What it will not tell is laid down as unmeasured.
pub(super) fn ask(
    wanted: &Wanted,
    desk: &mut Desk<'_>,
) -> Result<Vec<(ArtifactName, Value)>, SourceError> {
    let mut asked = BTreeMap::<Option<&str>, Kinds<'_>>::new();
    for (name, identity) in wanted {
        let kinds = asked.entry(identity.namespace.as_deref()).or_default();
        let objects = kinds.entry(identity.resource()).or_default();
        objects.push((name, identity));
    }
    let answers = at_once(&asked, |(namespace, kinds)| of_namespace(*namespace, kinds))?;
    let mut found = Vec::new();
    for mut there in answers {
        found.append(&mut there.found);
        for (objects, why) in there.untold {
            for (name, _) in objects {
                desk.unmeasured(name, Reason::ToolFailed, why.clone());
            }
        }
    }
    Ok(found)
}

/// What a function makes of each, in their order, of several at once. None is begun after an
/// error.
pub(super) fn at_once<I, R>(
    all: I,
    each: impl Fn(I::Item) -> Result<R, SourceError> + Sync,
) -> Result<Vec<R>, SourceError>
where
    I: IntoIterator<IntoIter: Send>,
    R: Send,
{
    let next = Mutex::new(Some(all.into_iter().enumerate()));
    let results = Mutex::new(BTreeMap::new());
    let work = || {
        loop {
            let mut left = next.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((place, item)) = left.as_mut().and_then(Iterator::next) else {
                return;
            };
            drop(left);
            let result = each(item);
            if result.is_err() {
                *next.lock().unwrap_or_else(PoisonError::into_inner) = None;
            }
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            results.insert(place, result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..AT_ONCE {
            scope.spawn(work);
        }
        work();
    });
    let results = results.into_inner();
    let results = results.unwrap_or_else(PoisonError::into_inner);
    results.into_values().collect()
}

/// What is told of a namespace.
#[derive(Default)]
struct There<'w> {
    found: Vec<(ArtifactName, Value)>,
    /// What is not, and why.
    untold: Vec<(Objects<'w>, String)>,
}

/// All kinds of a namespace together; each by itself where that is refused, for one may be the
/// reason. An error is one that nothing else will be told for either.
fn of_namespace<'w>(namespace: Option<&str>, kinds: &Kinds<'w>) -> Result<There<'w>, SourceError> {
    let mut there = There::default();
    if kinds.len() > 1 {
        match together(namespace, kinds) {
            Ok(answer) => {
                let all: Objects<'_> = kinds.values().flatten().copied().collect();
                pick(answer, &all, &mut there.found);
                return Ok(there);
            }
            Err(error) if error.is_of_all() => return Err(error),
            Err(_) => {}
        }
    }
    for (resource, objects) in kinds {
        match alone(namespace, resource, objects) {
            Ok(answer) => pick(answer, objects, &mut there.found),
            Err(error) if error.is_of_all() => return Err(error),
            Err(error) => there.untold.push((objects.clone(), error.to_string())),
        }
    }
    Ok(there)
}

fn together(namespace: Option<&str>, kinds: &Kinds<'_>) -> Result<Vec<Value>, SourceError> {
    let many = |objects: &Objects<'_>| objects.len() > NAMED_MAX;
    let listed = kinds.iter().filter(|(_, objects)| many(objects));
    let listed: Vec<_> = listed.map(|(resource, _)| resource.as_str()).collect();
    let named = kinds.iter().filter(|(_, objects)| !many(objects));
    let named = named.flat_map(|(resource, objects)| {
        let all = objects.iter();
        all.map(move |(_, identity)| format!("{resource}/{}", identity.name))
    });
    let named: Vec<_> = named.collect();
    let mut found = Vec::new();
    if !listed.is_empty() {
        found = get(namespace, &[&listed.join(",")])?;
    }
    // A command line has an end.
    for some in named.chunks(NAMED_AT_ONCE) {
        let mut words: Vec<_> = some.iter().map(String::as_str).collect();
        words.push("--ignore-not-found");
        found.append(&mut get(namespace, &words)?);
    }
    Ok(found)
}

fn alone(
    namespace: Option<&str>,
    resource: &str,
    objects: &Objects<'_>,
) -> Result<Vec<Value>, SourceError> {
    let mut words = vec![resource];
    if objects.len() <= NAMED_MAX {
        words.extend(objects.iter().map(|(_, identity)| identity.name.as_str()));
        words.push("--ignore-not-found");
    }
    get(namespace, &words)
}

/// Those of an answer that were asked for. All are of one namespace, or of none.
fn pick(
    answer: Vec<Value>,
    objects: &[(&ArtifactName, &Identity)],
    found: &mut Vec<(ArtifactName, Value)>,
) {
    let known = answer.into_iter().filter_map(|object| {
        let identity = Identity::of(&object, "kubectl").ok()?;
        Some((identity.key(), object))
    });
    let mut known: BTreeMap<_, _> = known.collect();
    for (name, identity) in objects {
        if let Some(object) = known.remove(&identity.key()) {
            found.push(((*name).clone(), object));
        }
    }
}

fn get(namespace: Option<&str>, what: &[&str]) -> Result<Vec<Value>, SourceError> {
    let mut arguments = vec!["get"];
    arguments.extend(what);
    if let Some(namespace) = namespace {
        arguments.extend(["--namespace", namespace]);
    }
    // Without being asked to, kubectl does not say who manages which field.
    arguments.push("--show-managed-fields");
    let said = answer(arguments)?;
    let resource = what.first().copied().unwrap_or_default();
    let values = strict::parse(&said).map_err(|why| wrong(resource, &why))?;
    let mut found = Vec::new();
    for mut value in values {
        let is_list = value.get("kind").and_then(Value::as_str);
        let is_list = is_list.is_some_and(|kind| kind.ends_with("List"));
        match value.get_mut("items") {
            Some(Value::Array(items)) if is_list => found.append(items),
            _ => found.push(value),
        }
    }
    Ok(found)
}

/// All of a kind in a namespace, of which only what is meant is read.
pub(super) fn all<T: DeserializeOwned>(
    resource: &str,
    namespace: &str,
) -> Result<Vec<T>, SourceError> {
    let said = answer(vec!["get", resource, "--namespace", namespace])?;
    let list: List<T> =
        serde_json::from_slice(&said).map_err(|error| wrong(resource, &error.to_string()))?;
    Ok(list.items)
}

fn answer(mut arguments: Vec<&str>) -> Result<Vec<u8>, SourceError> {
    arguments.extend(["--output", "json", "--chunk-size=500"]);
    Tool::new("kubectl", &arguments).run()?.output()
}

fn wrong(resource: &str, why: &str) -> SourceError {
    SourceError::Input {
        what: format!("kubectl get {}", printable(resource)),
        why: printable(why),
    }
}
