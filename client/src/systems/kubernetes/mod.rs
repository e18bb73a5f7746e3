//! Kubernetes: the objects that were applied, and what the API says of them now.
//!
//! Recorded: the stream as it was given, as an input, and each object by itself. What YAML
//! means is kubectl's to say: readers disagree (`012`, `on`, `n`), and it is kubectl whose
//! reading the cluster got. Invariants: values of Secrets leave as tags alone; an object that
//! could not be asked for is unmeasured; one that the API does not have is missing.

mod beside;
pub(super) mod documents;
mod dry_run;
mod identity;
mod live;
mod owned;
mod pods;
mod quantity;
mod rules;
mod secrets;

use std::{collections::BTreeMap, path::Path};

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::Value;

use super::{Desk, Given, System};
use crate::{
    compare::{Rules, compare_as_signed},
    detail::{printable, shell_word},
    sources::{Recorded, SourceError},
};
use identity::Identity;

/// Of an object as the API knows it.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.cairn.kubernetes.object.v1+json";

/// The way to verify that asks the API to apply what was recorded, and to store nothing.
const DRY_RUN: &str = "dry-run";

/// Flags with which it does not show from the file what is deployed, or where.
const UNCLEAR: [&str; 20] = [
    "--as",
    "--cluster",
    "--context",
    "--dry-run",
    "--edit",
    "--kubeconfig",
    "--kustomize",
    "--namespace",
    "--prune",
    "--raw",
    "--recursive",
    "--selector",
    "--server",
    "--token",
    "--user",
    "-R",
    "-k",
    "-l",
    "-n",
    "-s",
];

/// The adapter.
pub(super) struct Kubernetes;

impl System for Kubernetes {
    fn name(&self) -> &'static str {
        "kubernetes"
    }

    fn about(&self) -> &'static str {
        "Kubernetes objects: rendered YAML or JSON (`FILE`, `-`); to verify, `live` asks the \
         cluster through kubectl, `live:dry-run` has the API itself compare as well, and a file \
         is what `kubectl get -o json` printed"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let Some(bytes) = given.read()? else {
            return Err(SourceError::Input {
                what: given.shown(),
                why: "to record, give the rendered objects as a file, or `-`".to_owned(),
            });
        };
        let objects = documents::read(&given.shown(), &bytes)?;
        if objects.is_empty() {
            return Err(SourceError::Empty {
                path: given.shown(),
            });
        }
        let before = desk.withheld_so_far();
        lay_down(objects, &given.shown(), &[], desk)?;
        let base = given.base();
        let words = [&*base.to_string_lossy()];
        // What was withheld from an object stands in the stream in clear.
        if desk.withheld_so_far() > before {
            return desk.secret_input(&words, &bytes);
        }
        desk.input(&words, bytes)
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let wanted = wanted(self.name(), recorded, desk);
        let from = given.shown();
        if !matches!(given, Given::Live(Some(_))) {
            desk.note(format!(
                "compared as a part of what is live; `live:{DRY_RUN}` has the API compare as well"
            ));
        }
        match (given.read()?, given) {
            (Some(bytes), _) => {
                lay_down_found(&wanted, documents::read(&from, &bytes)?, &from, desk)
            }
            (None, Given::Live(None)) => lay_down_live(&wanted, recorded, desk),
            (None, Given::Live(Some(how))) if how == DRY_RUN => {
                let live = live::ask(&wanted, desk)?;
                let live = dry_run::heard(live, recorded, desk)?;
                lay_down_answers(live, recorded, desk)
            }
            (None, _) => Err(SourceError::Input {
                what: from,
                why: format!("to verify, say `live`, or `live:{DRY_RUN}`"),
            }),
        }
    }

    fn reads(&self) -> &'static [&'static str] {
        // What pods were started from is held against the images of the same release.
        &["docker"]
    }

    fn deployed_by(&self, program: &str, arguments: &[&str]) -> Option<Given> {
        if program != "kubectl" || !matches!(arguments.first(), Some(&("apply" | "create"))) {
            return None;
        }
        let glued = |word: &str| word.starts_with("-f") && word != "-f" && !word.starts_with("-f=");
        let odd = |word: &&str| {
            let long = word.split('=').next().unwrap_or_default();
            let short = UNCLEAR
                .iter()
                .any(|it| it.len() == 2 && word.starts_with(it));
            short || UNCLEAR.contains(&long) || glued(word)
        };
        let second = arguments.get(1).is_some_and(|word| !word.starts_with('-'));
        if second || arguments.iter().any(odd) {
            return None;
        }
        // One file: of several, or of a directory, the flag says which.
        let mut files = arguments
            .iter()
            .enumerate()
            .filter_map(|(at, word)| match *word {
                "-f" | "--filename" => arguments.get(at + 1).copied(),
                word => word
                    .strip_prefix("--filename=")
                    .or_else(|| word.strip_prefix("-f=")),
            });
        let file = files.next().filter(|file| Path::new(file).is_file())?;
        files.next().is_none().then(|| Given::File(file.into()))
    }

    fn realise(&self, reference: &str, _: &Recorded<'_>) -> Option<String> {
        let reference = shell_word(reference.as_bytes());
        Some(format!(
            "cairn restore {reference} kubernetes --to - | kubectl apply -f -"
        ))
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        (media_type == MEDIA_TYPE).then_some(&rules::ObjectRules as &dyn Rules)
    }
}

/// The objects of a stream of YAML or JSON, by the names that they have below some words.
pub(super) fn lay_down(
    objects: Vec<Value>,
    from: &str,
    below: &[&str],
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut by_tag = 0_usize;
    for object in objects {
        let identity = Identity::of(&object, from)?;
        by_tag += rules::images(&object)
            .filter(|image| !image.contains("@sha256:"))
            .count();
        let name = identity.artifact_name(below, desk)?;
        let object = secrets::cleaned(object, &name, desk)?;
        desk.object(name, MEDIA_TYPE, object);
    }
    if by_tag > 0 {
        desk.note(format!(
            "images named by a tag, which can be moved, and not by digest: {by_tag}"
        ));
    }
    Ok(())
}

/// What was recorded, by name, and how the API knows it.
pub(super) type Wanted = BTreeMap<ArtifactName, Identity>;

/// Objects of a system, as they are to be asked for. One that does not tell what it is cannot be
/// asked for: it is unmeasured.
pub(super) fn wanted(system: &str, recorded: &Recorded<'_>, desk: &mut Desk<'_>) -> Wanted {
    let mut wanted = Wanted::new();
    for (artifact, object) in recorded.objects_of(system) {
        if artifact.media_type.as_deref() != Some(MEDIA_TYPE) {
            continue;
        }
        let name = &artifact.name;
        match object.map(|object| Identity::of(&object, name.as_str())) {
            Some(Ok(identity)) => {
                wanted.insert(name.clone(), identity);
            }
            Some(Err(error)) => {
                desk.unmeasured(name, error.reason(), error.to_string());
            }
            // It was laid down as unmeasured before any system was asked.
            None => {}
        }
    }
    wanted
}

/// Lays down what the API has of it.
pub(super) fn lay_down_live(
    wanted: &Wanted,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let live = live::ask(wanted, desk)?;
    lay_down_answers(live, recorded, desk)
}

fn lay_down_answers(
    mut live: Vec<(ArtifactName, Value)>,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut troubles = pods::add(&mut live, recorded, desk)?;
    for (name, object) in live {
        let object = secrets::cleaned(object, &name, desk)?;
        match troubles.remove(&name) {
            Some(why) if matches(&name, &object, recorded) => {
                desk.unmeasured(&name, Reason::ToolFailed, why);
            }
            // What differs by itself does so whatever runs.
            _ => desk.object(name, MEDIA_TYPE, object),
        }
    }
    Ok(())
}

/// Whether the rules find no difference between what was recorded and what there is.
fn matches(name: &ArtifactName, found: &Value, recorded: &Recorded<'_>) -> bool {
    let known = recorded.object(name.as_str());
    known.is_some_and(|known| {
        let manifest = recorded.manifest();
        let fields = compare_as_signed(manifest, name, (&known, found), &rules::ObjectRules);
        fields.differences.is_empty()
    })
}

/// Lays down what there is of it among objects that somebody fetched.
fn lay_down_found(
    wanted: &Wanted,
    found: Vec<Value>,
    from: &str,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let mut found = by_identity(found, from)?;
    // Those without a namespace take what is left.
    let (sure, open): (Vec<_>, Vec<_>) = wanted
        .iter()
        .partition(|(_, identity)| identity.namespace.is_some());
    for (name, identity) in sure.into_iter().chain(open) {
        if let Some(object) = take(&mut found, identity) {
            // What was applied compares with itself, whatever runs.
            let id = object.pointer("/metadata/uid").and_then(Value::as_str);
            if id.is_none_or(str::is_empty) {
                let why = "it has no uid, and so it is no answer of the API";
                desk.unmeasured(name, Reason::SourceInvalid, why);
                continue;
            }
            let object = secrets::cleaned(object, name, desk)?;
            desk.object(name.clone(), MEDIA_TYPE, object);
        }
    }
    Ok(())
}

type Found = BTreeMap<(String, String, String), BTreeMap<String, Value>>;

/// Objects by group, kind and name, and then by namespace.
fn by_identity(objects: Vec<Value>, from: &str) -> Result<Found, SourceError> {
    let mut found = Found::new();
    for object in objects {
        let identity = Identity::of(&object, from)?;
        let namespace = identity.namespace.clone().unwrap_or_default();
        let of = found.entry(identity.key()).or_default();
        if of.get(&namespace).is_some_and(|other| *other != object) {
            return Err(SourceError::Input {
                what: from.to_owned(),
                why: format!(
                    "{} is there twice, and not alike",
                    printable(&identity.name)
                ),
            });
        }
        of.insert(namespace, object);
    }
    Ok(found)
}

/// The object of an identity. One that was applied without a namespace went to whichever was
/// the caller's: it is found where there is no choice. One of a kind that has no namespace is
/// without, whatever it was applied with.
fn take(found: &mut Found, identity: &Identity) -> Option<Value> {
    let namespaces = found.get_mut(&identity.key())?;
    match &identity.namespace {
        Some(namespace) => namespaces
            .remove(namespace)
            .or_else(|| namespaces.remove("")),
        None if namespaces.len() == 1 => namespaces.pop_first().map(|(_, object)| object),
        None => namespaces.remove(""),
    }
}
