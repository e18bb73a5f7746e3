//! What AWS says of one stack: asked, or as its command line printed it.

use serde_json::Value;

use super::{
    super::aws::{self, Aws, Question, Stage, items, text},
    drift::{self, Drift, Hidden},
    resources::is_gone,
    rules::SETTLED,
    template::{Template, is_json},
};
use crate::{detail::printable, sources::SourceError};

/// Resources that `describe-stack-resources` tells at most, without saying that there are more.
const DESCRIBED_MAX: usize = 100;

/// What was said of a stack. What was not asked is none.
#[derive(Default)]
pub(super) struct Told {
    pub(super) stack: Option<Value>,
    pub(super) original: Option<Template>,
    /// What AWS made of it, where that was told apart.
    pub(super) processed: Option<Template>,
    pub(super) resources: Option<Vec<Value>>,
    pub(super) change_sets: Vec<Value>,
    /// Those of them whose changes were told.
    pub(super) described: Vec<Value>,
    pub(super) drift: Option<Drift>,
    /// Whether AWS was asked and has no such stack.
    pub(super) gone: bool,
    aws: Aws,
}

/// A state of a stack, and how it is told.
pub(super) enum State {
    /// It is as its template says.
    Settled,
    /// It failed, and is as some other template said, or as none.
    Failed(String),
    /// Nothing was told of it.
    Untold,
    /// What it will be is not known.
    Moving(String),
}

impl Told {
    /// From a file: a template, or answers of the command line one after the other.
    pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        let mut told = Self::default();
        if !is_json(bytes) {
            told.original = Some(Template::read(from, bytes)?);
            return Ok(told);
        }
        let values = aws::documents(from, bytes)?;
        if let [value] = values.as_slice()
            && value.get("Resources").is_some()
        {
            told.original = Some(Template::read(from, bytes)?);
            return Ok(told);
        }
        for value in values {
            told.take(from, &value)?;
        }
        let id = told.stack.as_ref().and_then(|stack| text(stack, "StackId"));
        if let (Some(id), Some(drift)) = (id, &told.drift)
            && drift.is_of_another(id)
        {
            return Err(SourceError::Input {
                what: from.to_owned(),
                why: "its rows of drift are another stack's".to_owned(),
            });
        }
        Ok(told)
    }

    fn take(&mut self, from: &str, value: &Value) -> Result<(), SourceError> {
        let wrong = |why: &str| SourceError::Input {
            what: from.to_owned(),
            why: why.to_owned(),
        };
        if aws::is_a_part(value) {
            return Err(wrong("it is one page of several: give all of them"));
        }
        let list = |member: &str| value.get(member).and_then(Value::as_array).cloned();
        let again = if let Some(body) = value.get("TemplateBody") {
            let template = Template::told(from, body)?;
            // The original is what is asked for first, and printed first.
            if self.original.is_none() {
                self.original = Some(template);
                false
            } else {
                self.processed.replace(template).is_some()
            }
        } else if let Some(stacks) = list("Stacks") {
            let [stack] = stacks.as_slice() else {
                return Err(wrong("it tells of more than one stack, or of none"));
            };
            self.stack.replace(stack.clone()).is_some()
        } else if let Some(resources) = list("StackResources") {
            if resources.len() >= DESCRIBED_MAX {
                return Err(wrong(
                    "describe-stack-resources leaves out what is beyond 100 resources: give \
                     what list-stack-resources prints",
                ));
            }
            self.resources.replace(resources).is_some()
        } else if let Some(resources) = list("StackResourceSummaries") {
            self.resources.replace(resources).is_some()
        } else if let Some(rows) = list("StackResourceDrifts") {
            self.drift.replace(Drift::told(rows)).is_some()
        } else if let Some(change_sets) = list("Summaries") {
            self.change_sets.extend(change_sets);
            false
        } else if value.get("ChangeSetName").is_some() && list("Changes").is_some() {
            self.change_sets.push(value.clone());
            self.described.push(value.clone());
            false
        } else {
            return Err(wrong(
                "it is neither a template nor what `aws cloudformation` prints of a stack",
            ));
        };
        if again {
            return Err(wrong("it tells the same thing twice"));
        }
        Ok(())
    }

    /// All but drift, which is for whoever compares.
    pub(super) fn live(name: &str) -> Result<Self, SourceError> {
        let aws = Aws::default();
        let stack = match aws.ask(Question::Stack(name)) {
            Ok(said) => items(&said, "Stacks").first().cloned(),
            Err(error) if aws::says_gone(&error) => None,
            Err(error) => return Err(error),
        };
        let Some(stack) = stack else {
            return Ok(Self {
                gone: true,
                ..Self::default()
            });
        };
        let template = |stage: Stage| {
            let said = aws.ask(Question::Template(name, stage))?;
            let body = said.get("TemplateBody").unwrap_or(&Value::Null);
            Template::told("the stack's template", body)
        };
        let original = template(Stage::Original)?;
        let processed = original.is_transformed();
        let processed = processed.then(|| template(Stage::Processed));
        let processed = processed.transpose()?;
        let resources = aws.ask(Question::Resources(name))?;
        Ok(Self {
            stack: Some(stack),
            processed,
            original: Some(original),
            resources: Some(items(&resources, "StackResourceSummaries").to_vec()),
            aws,
            ..Self::default()
        })
    }

    /// The change sets, which are for whoever records: one that waits changes nothing.
    pub(super) fn ask_change_sets(&mut self) -> Result<(), SourceError> {
        let Some(name) = self.name() else {
            return Ok(());
        };
        let said = self.aws.ask(Question::ChangeSets(name))?;
        self.change_sets = items(&said, "Summaries").to_vec();
        Ok(())
    }

    /// Has AWS compare each resource with its template. Nothing may change meanwhile: a later
    /// template would be the one that it compares with.
    pub(super) fn detect(&mut self) -> Result<(), SourceError> {
        let Some(stack) = &self.stack else {
            return Ok(());
        };
        let id = text(stack, "StackId").unwrap_or_default();
        self.drift = Some(drift::detect(&self.aws, id)?);
        let said = self.aws.ask(Question::Stack(id))?;
        let now = items(&said, "Stacks").first();
        let moment = |stack: Option<&Value>| {
            let member = |name: &str| stack.and_then(|stack| stack.get(name)).cloned();
            (member("StackStatus"), member("LastUpdatedTime"))
        };
        if moment(now) != moment(Some(stack)) {
            return Err(SourceError::Changed {
                path: format!("the stack {id}"),
            });
        }
        Ok(())
    }

    /// Whether the stack has any parameter.
    pub(super) fn has_parameters(&self) -> bool {
        let stack = self.stack.iter();
        stack
            .flat_map(|stack| items(stack, "Parameters"))
            .next()
            .is_some()
    }

    /// In which state the stack is.
    pub(super) fn state(&self) -> State {
        let Some(stack) = &self.stack else {
            return State::Untold;
        };
        let status = text(stack, "StackStatus").unwrap_or("in no state that is told");
        let why = format!("the stack is {}", printable(status));
        if SETTLED.contains(&status) {
            State::Settled
        } else if status.ends_with("_FAILED") || status.ends_with("_COMPLETE") {
            State::Failed(why)
        } else {
            State::Moving(why)
        }
    }

    /// The values of its parameters, which are told to nobody.
    pub(super) fn hidden(&self) -> Hidden {
        let Some(stack) = &self.stack else {
            return Hidden::Any;
        };
        let parameters = items(stack, "Parameters").iter();
        Hidden::of(parameters.flat_map(|parameter| {
            let members = ["ParameterValue", "ResolvedValue"];
            members.map(|member| text(parameter, member).unwrap_or_default())
        }))
    }

    /// The stack's name, as AWS tells it.
    pub(super) fn name(&self) -> Option<&str> {
        text(self.stack.as_ref()?, "StackName")
    }

    /// What became of a resource, by its name in the template.
    pub(super) fn resource(&self, logical: &str) -> Option<&Value> {
        let resources = self.resources.as_ref()?.iter();
        let mut own =
            resources.filter(|resource| text(resource, "LogicalResourceId") == Some(logical));
        own.find(|resource| !is_gone(resource))
    }
}
