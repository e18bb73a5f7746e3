//! Helm: what a release is made of, and the objects that it rendered.
//!
//! Recorded of a release: its chart's name and versions, revision and status, a keyed tag of
//! its values, digests of its manifest and hooks, and each object of the manifest. Helm's own
//! record of a release proves what Helm said and not what runs: the objects are asked for from
//! the cluster, as [`super::kubernetes`] does it. Helm counts on when it rolls back: what it calls
//! a rollback to the recorded revision stands for that one, and is compared whole. Invariants: of a release's record nothing
//! leaves that is not named in [`release`]; only what is deployed is recorded; objects of which
//! only Helm's word is at hand are unmeasured.

mod chart;
mod live;
mod packed;
mod printed;
mod release;

use std::collections::BTreeSet;

use cairn_proto::{name::ArtifactName, reason::Reason};

use super::{
    Desk, Given, System,
    kubernetes::{self, documents},
};
use crate::{
    compare::{Place, Rules},
    detail::{printable, shell_word},
    sources::{Recorded, SourceError},
};
use release::{Form, Release};

/// Of what Helm says of a release.
const MEDIA_TYPE: &str = "application/vnd.cairn.helm.release.v1+json";

/// Of what helm prints of a release.
const PRINTED: &str = "application/vnd.cairn.helm.printed.v1+json";

/// What tells helm alone which cluster to ask.
const OF_HELM_ALONE: [&str; 5] = [
    "HELM_KUBECONTEXT",
    "HELM_KUBEAPISERVER",
    "HELM_KUBETOKEN",
    "HELM_KUBEASUSER",
    "HELM_KUBEASGROUPS",
];

/// Below the system's name: releases, and objects of their manifests.
const RELEASE: &str = "release";
const OBJECT: &str = "object";

/// Flags of helm's that take no word.
const ALONE: [&str; 10] = [
    "-i",
    "--install",
    "--atomic",
    "--wait",
    "--wait-for-jobs",
    "--create-namespace",
    "--cleanup-on-fail",
    "--force",
    "--reset-values",
    "--reuse-values",
];

/// The adapter.
pub(super) struct Helm;

impl System for Helm {
    fn name(&self) -> &'static str {
        "helm"
    }

    fn about(&self) -> &'static str {
        "A Helm release: its Secret as kubectl prints it or what `helm get all` prints (`FILE`, `-`), or `live:NAMESPACE/NAME` \
         through helm; a chart's package beside it (`CHART.tgz`, or `live:oci://REGISTRY/CHART:VERSION` \
         through a registry). To verify, `live` asks helm and \
         kubectl for all that was recorded"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let from = given.shown();
        if let Some(chart) = in_registry(given) {
            return chart::from_registry(chart, desk);
        }
        let release = match (given, given.read()?) {
            (Given::Live(name), _) => {
                let id = Id::parse(name.as_deref().unwrap_or_default(), &from)?;
                let missing = || input(&from, "helm knows no such release");
                live::release(&id, Form::Kept)?.ok_or_else(missing)?
            }
            (_, Some(bytes)) => {
                if let Some(chart) = chart::read(&from, &bytes)? {
                    return chart.lay_down(bytes, desk);
                }
                let release = packed::read(&from, &bytes)?;
                if release.form() == Form::Printed {
                    let Id { namespace, name } = &release.id;
                    // Values are in it in clear.
                    desk.secret_input(&[namespace, name, "all.txt"], &bytes)?;
                }
                release
            }
            (_, None) => return Ok(()),
        };
        if release.status != "deployed" {
            let why = format!("its status is {}, not deployed", printable(&release.status));
            return Err(input(&from, &why));
        }
        let Id { namespace, name } = &release.id;
        release.lay_down(release.form(), desk)?;
        let objects = documents::read(&from, release.manifest.as_bytes())?;
        let before = desk.withheld_so_far();
        kubernetes::lay_down(objects, &from, &[OBJECT, namespace, name], desk)?;
        // What was withheld from an object stands in these texts in clear.
        let secret = desk.withheld_so_far() > before;
        let mut lay = |file: &str, text: String| {
            let words = [namespace.as_str(), name.as_str(), file];
            if secret {
                return desk.secret_input(&words, text.as_bytes());
            }
            desk.input(&words, text.into_bytes())
        };
        if let Some(hooks) = release.hooks_text() {
            lay("hooks.yaml", hooks)?;
        }
        lay("manifest.yaml", release.manifest)
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let from = given.shown();
        if in_registry(given).is_some() {
            let why = "a chart in a registry is recorded, and is not what runs: `--helm` verifies";
            return Err(input(&from, why));
        }
        if let Some(bytes) = given.read()? {
            if chart::read(&from, &bytes)?.is_some() {
                return Ok(());
            }
            let mut release = packed::read(&from, &bytes)?;
            if !releases(recorded).contains(&release.id) {
                return Err(input(&from, "no such release was recorded here"));
            }
            release.stand_for(recorded, desk);
            release.lay_down(Form::of(&release.id, recorded), desk)?;
            let why = "only Helm's own record was given: `--helm` asks what runs";
            unasked(recorded, |_| true, OBJECT, why, desk);
            unasked_but(recorded, &BTreeSet::from([release.id]), desk);
            return Ok(());
        }
        // helm heeds them and kubectl does not: they would speak of two clusters.
        for name in OF_HELM_ALONE {
            if std::env::var_os(name).is_some_and(|value| !value.is_empty()) {
                let why = format!("{name} is helm's alone: kubectl would ask another cluster");
                return Err(input(&from, &why));
            }
        }
        let asked = match given {
            Given::Live(Some(name)) => BTreeSet::from([Id::parse(name, &from)?]),
            _ => releases(recorded),
        };
        for id in &asked {
            let name = id.artifact_name(desk)?;
            let form = Form::of(id, recorded);
            match live::release(id, form) {
                Ok(Some(mut release)) => {
                    release.stand_for(recorded, desk);
                    release.lay_down(form, desk)?;
                }
                Ok(None) => {}
                // Nothing else will be told either.
                Err(error) if error.is_of_all() => return Err(error),
                Err(error) => desk.unmeasured(&name, Reason::ToolFailed, error.to_string()),
            }
        }
        let mut wanted = kubernetes::wanted(self.name(), recorded, desk);
        wanted.retain(|name, object| {
            let of = Id::of(name, OBJECT).filter(|of| asked.contains(of));
            // Helm puts what names no namespace into the release's.
            of.map(|of| object.namespace.get_or_insert(of.namespace))
                .is_some()
        });
        kubernetes::lay_down_live(&wanted, recorded, desk)?;
        unasked_but(recorded, &asked, desk);
        Ok(())
    }

    fn reads(&self) -> &'static [&'static str] {
        kubernetes::Kubernetes.reads()
    }

    fn is_beforehand(&self, given: &Given) -> bool {
        !matches!(given, Given::Live(_)) || in_registry(given).is_some()
    }

    fn verified_by(&self, given: &Given) -> Given {
        match given {
            Given::Live(Some(_)) if in_registry(given).is_none() => given.clone(),
            _ => Given::Live(None),
        }
    }

    fn deployed_by(&self, program: &str, arguments: &[&str]) -> Option<Given> {
        let ("helm", ["install" | "upgrade" | "rollback", words @ ..]) = (program, arguments)
        else {
            return None;
        };
        let elsewhere = |word: &&str| {
            let long = word.split('=').next().unwrap_or_default();
            // A namespace within a word, or a name that is helm's to choose.
            let short = word.starts_with('-') && !word.starts_with("--") && word.len() > 2;
            word.starts_with("--kube")
                || word.starts_with("--dry-run")
                || ["-g", "--generate-name", "--name-template"].contains(&long)
                || (short && (word.contains('n') || word.contains('g')))
        };
        if words.iter().any(elsewhere) {
            return None;
        }
        let mut namespace = std::env::var("HELM_NAMESPACE").ok();
        for (at, word) in words.iter().enumerate() {
            let named = match *word {
                "-n" | "--namespace" => words.get(at + 1).copied(),
                word => word.strip_prefix("--namespace="),
            };
            namespace = named.map(str::to_owned).or(namespace);
        }
        let namespace = namespace.filter(|namespace| !namespace.is_empty())?;
        // Which flags take a word is helm's to know: of those before the name, these do not.
        let mut words = words.iter().skip_while(|word| {
            ALONE.contains(word) || (word.starts_with("--") && word.contains('='))
        });
        let name = words.next().filter(|word| !word.starts_with('-'))?;
        Some(Given::Live(Some(format!("{namespace}/{name}"))))
    }

    fn realise(&self, _: &str, recorded: &Recorded<'_>) -> Option<String> {
        let releases = recorded.objects_of(self.name());
        let commands = releases.filter_map(|(artifact, release)| {
            // Objects of a release have no number of their own.
            let Id { namespace, name } = Id::of(&artifact.name, RELEASE)?;
            let revision = release?.get("revision")?.as_u64()?;
            let [name, namespace] = [name, namespace].map(|word| shell_word(word.as_bytes()));
            Some(format!(
                "helm rollback {name} {revision} --namespace {namespace}"
            ))
        });
        let commands: Vec<_> = commands.collect();
        (!commands.is_empty()).then(|| commands.join(" && "))
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        [MEDIA_TYPE, PRINTED]
            .contains(&media_type)
            .then_some(&ReleaseRules as &dyn Rules)
    }
}

/// A chart's reference, as helm itself takes it.
fn in_registry(given: &Given) -> Option<&str> {
    match given {
        Given::Live(Some(text)) => text.strip_prefix("oci://"),
        _ => None,
    }
}

/// Every field is as recorded, or differs; hooks have no order.
struct ReleaseRules;

impl Rules for ReleaseRules {
    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        if place.is(&["hooks"]) {
            return &[("path", ""), ("kind", ""), ("name", "")];
        }
        &[]
    }
}

/// Which release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    namespace: String,
    name: String,
}

impl Id {
    /// Names as Helm and Kubernetes allow them: none is an option or a path.
    fn new(namespace: &str, name: &str) -> Option<Self> {
        let fits = |word: &str| {
            let known = |byte: u8| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
            };
            !word.is_empty() && !word.starts_with(['-', '.']) && word.bytes().all(known)
        };
        (fits(namespace) && fits(name)).then(|| Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// `NAMESPACE/NAME`.
    fn parse(text: &str, from: &str) -> Result<Self, SourceError> {
        let parts = text.split_once('/');
        parts
            .and_then(|(namespace, name)| Self::new(namespace, name))
            .ok_or_else(|| input(from, "say which release: live:NAMESPACE/NAME"))
    }

    /// The release of an artifact's name: `helm/release/NAMESPACE/NAME`.
    fn of(name: &ArtifactName, sort: &str) -> Option<Self> {
        let rest = name.as_str().strip_prefix("helm/")?.strip_prefix(sort)?;
        let mut words = rest.strip_prefix('/')?.split('/');
        Self::new(words.next()?, words.next()?)
    }

    fn artifact_name(&self, desk: &Desk<'_>) -> Result<ArtifactName, SourceError> {
        desk.name(&[RELEASE, &self.namespace, &self.name])
    }
}

/// The releases that were recorded.
fn releases(recorded: &Recorded<'_>) -> BTreeSet<Id> {
    let objects = recorded.objects_of("helm");
    objects
        .filter_map(|(artifact, _)| Id::of(&artifact.name, RELEASE))
        .collect()
}

/// Of what belongs to other releases than these nothing is known.
fn unasked_but(recorded: &Recorded<'_>, asked: &BTreeSet<Id>, desk: &mut Desk<'_>) {
    let why = "this release was not asked about";
    for sort in [RELEASE, OBJECT] {
        unasked(recorded, |id| !asked.contains(id), sort, why, desk);
    }
}

fn unasked(
    recorded: &Recorded<'_>,
    which: impl Fn(&Id) -> bool,
    sort: &str,
    why: &str,
    desk: &mut Desk<'_>,
) {
    for (artifact, _) in recorded.objects_of("helm") {
        if Id::of(&artifact.name, sort).is_some_and(|id| which(&id)) {
            desk.unmeasured(&artifact.name, Reason::ToolFailed, why);
        }
    }
}

fn input(what: &str, why: &str) -> SourceError {
    SourceError::Input {
        what: what.to_owned(),
        why: why.to_owned(),
    }
}
