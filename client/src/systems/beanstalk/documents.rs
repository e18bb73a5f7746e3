//! What AWS says of one environment: asked, or as its command line printed it.

use serde_json::Value;

use super::{
    super::{
        Given,
        aws::{self, Aws, Question, items, text},
        given::read_open,
    },
    bundle::Bundle,
    deployment::Deployment,
    settings,
};
use crate::sources::{SourceError, shown};

/// What is asked about. A pipeline may leave to its documents what they say.
#[derive(Clone, Default)]
pub(super) struct Names {
    pub(super) application: String,
    pub(super) environment: String,
    /// The recorded version's; when recording, the one that runs.
    pub(super) label: String,
}

/// What was said.
#[derive(Default)]
pub(super) struct Told {
    pub(super) names: Names,
    /// Answers with lists of these; none that was not given.
    pub(super) environments: Option<Vec<Value>>,
    pub(super) versions: Option<Vec<Value>>,
    configurations: Vec<Value>,
    /// Settings by themselves, as a pipeline gives them.
    settings: Vec<Value>,
    pub(super) bundle: Option<Bundle>,
    /// Why there is none.
    pub(super) unfetched: String,
}

impl Told {
    /// From AWS, or from a file: a deployment, or answers one after the other.
    pub(super) fn of(given: &Given, names: Names) -> Result<Self, SourceError> {
        let Some(bytes) = given.read()? else {
            return Self::live(names);
        };
        let from = given.shown();
        let values = aws::documents(&from, &bytes)?;
        let mut told = Self {
            names,
            unfetched: "the bundle was not given".to_owned(),
            ..Self::default()
        };
        let deployment = match values.as_slice() {
            [value] => Deployment::parse(given, value).transpose()?,
            _ => None,
        };
        let Some(deployment) = deployment else {
            for value in values {
                told.take(&from, value)?;
            }
            return Ok(told);
        };
        for path in &deployment.documents {
            let (path, file) = deployment.open(path)?;
            let from = shown(&path);
            for value in aws::documents(&from, &read_open(file, &path)?)? {
                told.take(&from, value)?;
            }
        }
        let (path, file) = deployment.open(&deployment.bundle)?;
        let bundle = Bundle::read(file, &path)?;
        let own = |given: Option<String>, recorded: &mut String| {
            if let Some(name) = given {
                *recorded = name;
            }
        };
        own(deployment.application, &mut told.names.application);
        own(deployment.environment, &mut told.names.environment);
        own(deployment.version, &mut told.names.label);
        told.bundle = Some(bundle);
        Ok(told)
    }

    fn take(&mut self, from: &str, value: Value) -> Result<(), SourceError> {
        if let Value::Array(settings) = value {
            self.settings.extend(settings);
            return Ok(());
        }
        if aws::is_a_part(&value) {
            return Err(SourceError::Input {
                what: from.to_owned(),
                why: "it is one page of several: give all of them".to_owned(),
            });
        }
        let list = |member: &str| value.get(member).and_then(Value::as_array).cloned();
        if let Some(environments) = list("Environments") {
            self.environments
                .get_or_insert_default()
                .extend(environments);
        } else if let Some(versions) = list("ApplicationVersions") {
            self.versions.get_or_insert_default().extend(versions);
        } else if list("ConfigurationSettings").is_some() {
            self.configurations.push(value);
        } else {
            return Err(SourceError::Input {
                what: from.to_owned(),
                why: "it is neither a deployment, nor a list of option settings, nor what \
                      `aws elasticbeanstalk` prints"
                    .to_owned(),
            });
        }
        Ok(())
    }

    /// Takes the names that it does not say itself.
    pub(super) fn is_of(&mut self, names: &Names) {
        let own = |name: &mut String, other: &str| {
            if name.is_empty() {
                other.clone_into(name);
            }
        };
        own(&mut self.names.application, &names.application);
        own(&mut self.names.environment, &names.environment);
        own(&mut self.names.label, &names.label);
    }

    /// Whether it says something of an environment.
    pub(super) fn tells_of(&self, names: &Names) -> bool {
        let told = self.environments.iter().flatten();
        let mut told = told.map(|it| (text(it, "ApplicationName"), text(it, "EnvironmentName")));
        let wanted = (names.application.as_str(), names.environment.as_str());
        let own = (
            self.names.application.as_str(),
            self.names.environment.as_str(),
        );
        own == wanted || told.any(|it| it == (Some(wanted.0), Some(wanted.1)))
    }

    pub(super) fn live(names: Names) -> Result<Self, SourceError> {
        let aws = Aws::default();
        let application = names.application.clone();
        let one = names.environment.clone();
        let environments = aws.ask(Question::Environments(&application, &one))?;
        let environments = items(&environments, "Environments").to_vec();
        let mut told = Self {
            environments: Some(environments),
            names,
            ..Self::default()
        };
        if let Some(environment) = told.environment() {
            if told.names.label.is_empty() {
                let label = text(environment, "VersionLabel").unwrap_or_default();
                told.names.label = label.to_owned();
            }
            let said = aws.ask(Question::Settings(&application, &one))?;
            told.configurations.push(said);
        }
        if !told.names.label.is_empty() {
            let label = &told.names.label;
            let said = aws.ask(Question::Versions(&application, label))?;
            told.versions = Some(items(&said, "ApplicationVersions").to_vec());
        }
        told.fetch(&aws)?;
        Ok(told)
    }

    fn fetch(&mut self, aws: &Aws) -> Result<(), SourceError> {
        let place = self
            .version()
            .and_then(|version| version.get("SourceBundle"));
        let place = place.and_then(|it| Some((text(it, "S3Bucket")?, text(it, "S3Key")?)));
        let Some((bucket, key)) = place else {
            "AWS names no bundle of this version".clone_into(&mut self.unfetched);
            return Ok(());
        };
        match Bundle::fetch(aws, bucket, key) {
            Ok(bundle) => self.bundle = Some(bundle),
            Err(error @ SourceError::NoTool { .. }) => return Err(error),
            Err(error) => self.unfetched = format!("the bundle cannot be fetched: {error}"),
        }
        Ok(())
    }

    /// Takes the names from what was said, where there is no choice.
    pub(super) fn name(&mut self) {
        if let Some([only]) = self.environments.as_deref() {
            let own = |member: &str, name: &mut String| {
                if let (true, Some(told)) = (name.is_empty(), text(only, member)) {
                    told.clone_into(name);
                }
            };
            own("ApplicationName", &mut self.names.application);
            own("EnvironmentName", &mut self.names.environment);
            own("VersionLabel", &mut self.names.label);
        }
    }

    /// The environment that is asked about.
    pub(super) fn environment(&self) -> Option<&Value> {
        self.environments.as_ref()?.iter().find(|environment| {
            text(environment, "ApplicationName") == Some(&self.names.application)
                && text(environment, "EnvironmentName") == Some(&self.names.environment)
                && text(environment, "Status") != Some("Terminated")
        })
    }

    /// The version that is asked about.
    pub(super) fn version(&self) -> Option<&Value> {
        self.versions.as_ref()?.iter().find(|version| {
            text(version, "ApplicationName") == Some(&self.names.application)
                && text(version, "VersionLabel") == Some(&self.names.label)
        })
    }

    /// The option settings in force; none if none were told.
    pub(super) fn settings(&self) -> Option<Vec<Value>> {
        if !self.settings.is_empty() {
            return Some(self.settings.clone());
        }
        let said = self.configurations.iter();
        let mut in_force = said.filter_map(|it| settings::in_force(it, &self.names.environment));
        in_force.next()
    }
}
