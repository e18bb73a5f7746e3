//! What was recorded, environment by environment, and which of it is asked about.

use cairn_proto::name::ArtifactName;

use super::{
    super::aws::text,
    Desk, ENVIRONMENT, Given, VERSION,
    documents::{Names, Told},
};
use crate::{
    detail::printable,
    sources::{Recorded, SourceError},
};

/// What was recorded of one environment, with the version that it runs, or of a version that
/// none of them runs; and under which names.
#[derive(Clone, Default)]
pub(super) struct Wanted {
    pub(super) names: Names,
    /// AWS's, of the environment.
    pub(super) id: Option<String>,
    pub(super) version: Option<ArtifactName>,
    pub(super) environment: Option<ArtifactName>,
}

impl Wanted {
    pub(super) fn all(system: &str, recorded: &Recorded<'_>) -> Vec<Self> {
        let (mut environments, mut versions) = (Vec::new(), Vec::new());
        for (artifact, object) in recorded.objects_of(system) {
            // One without was laid down as unmeasured before any system was asked.
            let Some(object) = object else { continue };
            let of = |member: &str| text(&object, member).unwrap_or_default().to_owned();
            let mut wanted = Self {
                names: Names {
                    application: of("ApplicationName"),
                    environment: of("EnvironmentName"),
                    label: of("VersionLabel"),
                },
                id: text(&object, "EnvironmentId").map(str::to_owned),
                ..Self::default()
            };
            match artifact.media_type.as_deref() {
                Some(VERSION) => {
                    wanted.version = Some(artifact.name.clone());
                    versions.push(wanted);
                }
                Some(ENVIRONMENT) => {
                    wanted.environment = Some(artifact.name.clone());
                    environments.push(wanted);
                }
                _ => {}
            }
        }
        let runs = |environment: &Self, version: &Self| {
            environment.names.application == version.names.application
                && environment.names.label == version.names.label
        };
        for environment in &mut environments {
            let version = versions.iter().find(|version| runs(environment, version));
            environment.version = version.and_then(|version| version.version.clone());
        }
        versions.retain(|version| !environments.iter().any(|it| runs(it, version)));
        environments.extend(versions);
        environments
    }

    /// Those that are asked about: all, or those that were named. Of several, an environment
    /// of another name is none of them.
    pub(super) fn asked(
        mut all: Vec<Self>,
        given: &Given,
        told: Option<&Told>,
    ) -> Result<Vec<Self>, SourceError> {
        let wrong = |why: String| SourceError::Input {
            what: given.shown(),
            why: printable(&why),
        };
        if let Given::Live(Some(name)) = given {
            let asked = super::live_names(Some(name)).ok_or_else(|| {
                wrong("say which environment: `live:APPLICATION/ENVIRONMENT`".to_owned())
            })?;
            if let [only] = all.as_mut_slice() {
                only.names.application = asked.application;
                only.names.environment = asked.environment;
                return Ok(all);
            }
            all.retain(|Self { names, .. }| {
                names.application == asked.application && names.environment == asked.environment
            });
            if all.is_empty() {
                return Err(wrong(format!("no environment {name} was recorded here")));
            }
        } else if let (Some(told), true) = (told, all.len() > 1) {
            all.retain(|wanted| told.tells_of(&wanted.names));
            if all.is_empty() {
                return Err(wrong(
                    "it tells of no environment that was recorded".to_owned(),
                ));
            }
        }
        Ok(all)
    }

    /// Says that this is spoken for, and nothing else.
    pub(super) fn is_spoken_for(&self, desk: &mut Desk<'_>) {
        for name in self.artifacts() {
            desk.speaks_for_one(name);
        }
    }

    pub(super) fn artifacts(&self) -> impl Iterator<Item = &ArtifactName> {
        self.version.iter().chain(&self.environment)
    }
}
