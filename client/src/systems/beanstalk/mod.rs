//! Elastic Beanstalk: a version's bundle, and the environment that runs it.
//!
//! A label says nothing of bytes, and the API has no digest of them: the bundle itself is
//! hashed. Invariants: a bundle that could not be fetched is unmeasured; an environment is its
//! id and not its name; no variable of the application leaves in clear.

mod bundle;
mod deployment;
mod documents;
mod rules;
mod settings;
mod wanted;

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::{Map, Value};

use super::{Desk, Given, System, aws::text};
use crate::{
    compare::Rules,
    detail::{printable, shell_word},
    sources::{Recorded, SourceError},
};
use documents::{Names, Told};
use wanted::Wanted;

const VERSION: &str = "application/vnd.cairn.beanstalk.version.v1+json";
const ENVIRONMENT: &str = "application/vnd.cairn.beanstalk.environment.v1+json";

/// The adapter.
pub(super) struct Beanstalk;

impl System for Beanstalk {
    fn name(&self) -> &'static str {
        "beanstalk"
    }

    fn about(&self) -> &'static str {
        "Elastic Beanstalk environments: `live:APP/ENV` asks AWS, with the settings and \
         credentials of its command line, and fetches the bundle; a file, or `-`, is JSON that \
         names a bundle and what belongs to it below its own folder: {\"application\", \
         \"environment\", \"version\", \"bundle\": \"shop.zip\", \"documents\": \
         [\"options.json\"]}, where a document is a list of option settings or what `aws \
         elasticbeanstalk describe-...` printed; to verify, these answers alone, one after the \
         other, do as well"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let wrong = |why: &str| SourceError::Input {
            what: given.shown(),
            why: why.to_owned(),
        };
        let names = match given {
            Given::Live(name) => live_names(name.as_deref())
                .ok_or_else(|| wrong("say which environment: `live:APPLICATION/ENVIRONMENT`"))?,
            _ => Names::default(),
        };
        let mut told = Told::of(given, names)?;
        told.name();
        let names = told.names.clone();
        if [&names.application, &names.environment, &names.label].contains(&&String::new()) {
            return Err(match given {
                Given::Live(_) => wrong("AWS has no such environment, or no version runs in it"),
                _ => wrong("the application, the environment or the version is not named"),
            });
        }
        if told.bundle.is_none() {
            return Err(wrong(&told.unfetched));
        }
        if let Some(environment) = told.environment() {
            let label = text(environment, "VersionLabel").unwrap_or_default();
            if label != names.label {
                return Err(wrong("the environment runs another version"));
            }
            let status = text(environment, "Status").unwrap_or("in no state that is told");
            if status != "Ready" {
                let status = printable(status);
                return Err(wrong(&format!(
                    "the environment is {status}: record it when it is Ready"
                )));
            }
        }
        record_version(&told, desk)?;
        let name = desk.name(&["environment", &names.application, &names.environment])?;
        let settings = told.settings();
        if matches!(given, Given::Live(_)) && settings.is_none() {
            return Err(wrong("other option settings are on their way"));
        }
        settings::note_policies(settings.as_deref().unwrap_or_default(), desk);
        let object = environment_object(&told, &name, desk)?;
        desk.object(name, ENVIRONMENT, object);
        Ok(())
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let all = Wanted::all(self.name(), recorded);
        if matches!(given, Given::Live(_)) {
            for wanted in Wanted::asked(all, given, None)? {
                wanted.is_spoken_for(desk);
                match Told::live(wanted.names.clone()) {
                    Ok(told) => observe_one(&told, wanted, desk)?,
                    // What it will not tell is unknown; nobody and nothing to ask is the
                    // caller's to mend.
                    Err(error @ SourceError::Tool { .. }) => {
                        for name in wanted.artifacts() {
                            desk.unmeasured(name, Reason::ToolFailed, error.to_string());
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        let mut told = Told::of(given, Names::default())?;
        let asked = Wanted::asked(all, given, Some(&told))?;
        let own = told.names.clone();
        for wanted in asked {
            told.names = own.clone();
            told.is_of(&wanted.names);
            wanted.is_spoken_for(desk);
            observe_one(&told, wanted, desk)?;
        }
        Ok(())
    }

    fn realise(&self, _: &str, recorded: &Recorded<'_>) -> Option<String> {
        let all = Wanted::all(self.name(), recorded);
        let commands = all.iter().filter_map(|wanted| {
            let (flag, of) = match &wanted.id {
                Some(id) => ("--environment-id", id),
                None => ("--environment-name", &wanted.names.environment),
            };
            if of.is_empty() {
                return None;
            }
            let of = shell_word(of.as_bytes());
            let label = shell_word(wanted.names.label.as_bytes());
            Some(format!(
                "aws elasticbeanstalk update-environment {flag} {of} --version-label {label}"
            ))
        });
        let commands: Vec<_> = commands.collect();
        (!commands.is_empty()).then(|| commands.join(" && "))
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        match media_type {
            VERSION => Some(&rules::VersionRules),
            ENVIRONMENT => Some(&rules::EnvironmentRules),
            _ => None,
        }
    }
}

fn live_names(name: Option<&str>) -> Option<Names> {
    let (application, environment) = name?.split_once('/')?;
    let filled = !application.is_empty() && !environment.is_empty();
    filled.then(|| Names {
        application: application.to_owned(),
        environment: environment.to_owned(),
        label: String::new(),
    })
}

/// What there is now of one environment, and of its version.
fn observe_one(told: &Told, wanted: Wanted, desk: &mut Desk<'_>) -> Result<(), SourceError> {
    // Several environments may run one version.
    if let Some(name) = wanted.version
        && desk.laid(&name).is_none()
    {
        observe_version(told, name, desk);
    }
    match wanted.environment {
        Some(name) => observe_environment(told, name, desk),
        None => Ok(()),
    }
}

/// The version, once: several environments may run it.
fn record_version(told: &Told, desk: &mut Desk<'_>) -> Result<(), SourceError> {
    let words = ["version", &told.names.application, &told.names.label];
    let name = desk.name(&words)?;
    let object = version_object(told);
    if let Some(laid) = desk.laid(&name) {
        let path = name.as_str().to_owned();
        return (*laid == object)
            .then_some(())
            .ok_or(SourceError::Changed { path });
    }
    desk.object(name, VERSION, object);
    let bundle = told.bundle.as_ref();
    if let Some((bundle, digests)) = bundle.and_then(|it| Some((it, it.digests()?))) {
        desk.named(&words, digests, bundle.size)?;
    }
    Ok(())
}

/// The version as it is recorded, or compared.
fn version_object(told: &Told) -> Value {
    let mut object = Map::new();
    let mut put = |member: &str, value: Value| object.insert(member.to_owned(), value);
    put(
        "ApplicationName",
        Value::from(told.names.application.as_str()),
    );
    put("VersionLabel", Value::from(told.names.label.as_str()));
    if let Some(bundle) = &told.bundle {
        put("Blake3", Value::from(bundle.blake3.as_str()));
        put("Sha256", Value::from(bundle.sha256.as_str()));
        put("Size", Value::from(bundle.size));
        if let Some(version) = &bundle.version {
            put("S3VersionId", Value::from(version.as_str()));
        }
    }
    let place = told
        .version()
        .and_then(|version| version.get("SourceBundle"));
    for member in ["S3Bucket", "S3Key"] {
        if let Some(text) = place.and_then(|place| text(place, member)) {
            put(member, Value::from(text));
        }
    }
    Value::Object(object)
}

/// The environment as it is recorded, or compared.
fn environment_object(
    told: &Told,
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let mut object = Map::new();
    if let Some(environment) = told.environment() {
        for member in ["EnvironmentId", "PlatformArn", "OperationsRole", "Tier"] {
            if let Some(value) = environment.get(member).filter(|value| !value.is_null()) {
                object.insert(member.to_owned(), value.clone());
            }
        }
    }
    let label = match told.environment() {
        Some(environment) => text(environment, "VersionLabel").unwrap_or_default(),
        None => told.names.label.as_str(),
    };
    for (member, value) in [
        ("ApplicationName", told.names.application.as_str()),
        ("EnvironmentName", told.names.environment.as_str()),
        ("VersionLabel", label),
    ] {
        object.insert(member.to_owned(), Value::from(value));
    }
    if let Some(settings) = told.settings() {
        let settings = settings::object(&settings, name, desk)?;
        object.insert("OptionSettings".to_owned(), settings);
    }
    Ok(Value::Object(object))
}

/// A version that AWS does not have is missing; one whose bytes nobody saw is unknown.
fn observe_version(told: &Told, name: ArtifactName, desk: &mut Desk<'_>) {
    if told.versions.is_some() && told.version().is_none() {
        return;
    }
    if told.bundle.is_none() {
        desk.unmeasured(&name, Reason::ToolFailed, told.unfetched.clone());
        return;
    }
    desk.object(name, VERSION, version_object(told));
}

fn observe_environment(
    told: &Told,
    name: ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let Some(environment) = told.environment() else {
        if told.environments.is_none() {
            let why = "what describe-environments prints was not given";
            desk.unmeasured(&name, Reason::SourceInvalid, why);
        }
        return Ok(());
    };
    let status = text(environment, "Status").unwrap_or("in no state that is told");
    if status != "Ready" {
        let why = format!("the environment is {status}, and not Ready");
        desk.unmeasured(&name, Reason::ToolFailed, why);
        return Ok(());
    }
    if told.settings().is_none() {
        let why = "its option settings were not told, or others are on their way";
        desk.unmeasured(&name, Reason::ToolFailed, why);
        return Ok(());
    }
    let object = environment_object(told, &name, desk)?;
    desk.object(name, ENVIRONMENT, object);
    Ok(())
}
