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

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::{Map, Value};

use super::{Desk, Given, System, aws::text};
use crate::{
    compare::Rules,
    detail::{printable, shell_word},
    sources::{Recorded, SourceError},
};
use documents::{Names, Told};

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
         credentials of its command line, and fetches the bundle; a file, or `-`, is JSON that names a bundle and what belongs to \
         it below its own folder: {\"application\", \"environment\", \"version\", \"bundle\": \
         \"shop.zip\", \"documents\": [\"options.json\"]}, where a document is a list of option \
         settings or what `aws elasticbeanstalk describe-...` printed; to verify, these \
         answers alone, one after the other, do as well"
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
        let version = desk.name(&["version", &names.application, &names.label])?;
        desk.object(version, VERSION, version_object(&told));
        if let Some((bundle, digests)) = told
            .bundle
            .as_ref()
            .and_then(|it| Some((it, it.digests()?)))
        {
            let words = ["version", &names.application, &names.label];
            desk.named(&words, digests, bundle.size)?;
        }
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
        let Some(mut wanted) = Wanted::of(self.name(), recorded) else {
            return Ok(());
        };
        if let Given::Live(Some(name)) = given {
            let asked = live_names(Some(name)).ok_or_else(|| SourceError::Input {
                what: given.shown(),
                why: "say which environment: `live:APPLICATION/ENVIRONMENT`".to_owned(),
            })?;
            wanted.names.application = asked.application;
            wanted.names.environment = asked.environment;
        }
        let told = match Told::of(given, wanted.names.clone()) {
            Ok(told) => told,
            // What it will not tell is unknown; nobody and nothing to ask is the caller's to mend.
            Err(error @ SourceError::Tool { .. }) => {
                for name in wanted.version.iter().chain(&wanted.environment) {
                    desk.unmeasured(name, Reason::ToolFailed, error.to_string());
                }
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(name) = wanted.version {
            observe_version(&told, name, desk);
        }
        if let Some(name) = wanted.environment {
            observe_environment(&told, name, desk)?;
        }
        Ok(())
    }

    fn realise(&self, _: &str, recorded: &Recorded<'_>) -> Option<String> {
        let mut objects = recorded.objects_of(self.name());
        let (_, environment) =
            objects.find(|(artifact, _)| artifact.media_type.as_deref() == Some(ENVIRONMENT))?;
        let environment = environment?;
        let word = |name: &str| Some(shell_word(text(&environment, name)?.as_bytes()));
        Some(format!(
            "aws elasticbeanstalk update-environment --environment-id {} --version-label {}",
            word("EnvironmentId")?,
            word("VersionLabel")?
        ))
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

/// What was recorded, and under which names.
#[derive(Default)]
struct Wanted {
    names: Names,
    version: Option<ArtifactName>,
    environment: Option<ArtifactName>,
}

impl Wanted {
    fn of(system: &str, recorded: &Recorded<'_>) -> Option<Self> {
        let mut wanted = Self::default();
        for (artifact, object) in recorded.objects_of(system) {
            let name = artifact.name.clone();
            // One without was laid down as unmeasured before any system was asked.
            let Some(object) = object else { continue };
            let of = |member: &str| text(&object, member).unwrap_or_default().to_owned();
            wanted.names.application = of("ApplicationName");
            match artifact.media_type.as_deref() {
                Some(VERSION) => {
                    wanted.names.label = of("VersionLabel");
                    wanted.version = Some(name);
                }
                Some(ENVIRONMENT) => {
                    wanted.names.environment = of("EnvironmentName");
                    wanted.environment = Some(name);
                }
                _ => {}
            }
        }
        (wanted.version.is_some() || wanted.environment.is_some()).then_some(wanted)
    }
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
