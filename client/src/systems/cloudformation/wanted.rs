//! What was recorded, stack by stack, and which of it is asked about.

use std::collections::BTreeMap;

use cairn_proto::name::ArtifactName;
use serde_json::Value;

use super::{
    super::aws::text, Desk, Given, PARAMETERS, RESOURCE, STACK, TEMPLATE, documents::Told, stem,
};
use crate::{
    detail::printable,
    sources::{Recorded, SourceError},
};

/// What was recorded of one stack, and under which names.
#[derive(Default)]
pub(super) struct Wanted {
    /// The stack's, or the template's file's.
    pub(super) name: String,
    pub(super) stack: Option<(ArtifactName, Value)>,
    pub(super) template: Option<(ArtifactName, Value)>,
    /// Of a template that was recorded before its stack.
    pub(super) parameters: Option<(ArtifactName, Value)>,
    /// By their names in the template.
    pub(super) resources: BTreeMap<String, (ArtifactName, Value)>,
}

impl Wanted {
    /// Each stack that something was recorded of.
    pub(super) fn all(system: &str, recorded: &Recorded<'_>) -> Vec<Self> {
        let mut all = BTreeMap::<String, Self>::new();
        for (artifact, object) in recorded.objects_of(system) {
            let name = artifact.name.clone();
            // One without was laid down as unmeasured before any system was asked.
            let Some(object) = object else { continue };
            // `cloudformation/KIND/STACK`, and of a resource `/LOGICAL` behind it.
            let of = name.as_str().split('/').nth(2).unwrap_or_default();
            let wanted = all.entry(of.to_owned()).or_insert_with(|| Self {
                name: of.to_owned(),
                ..Self::default()
            });
            if let Some(of) = text(&object, "StackName") {
                of.clone_into(&mut wanted.name);
            }
            match artifact.media_type.as_deref() {
                Some(STACK) => wanted.stack = Some((name, object)),
                Some(TEMPLATE) => wanted.template = Some((name, object)),
                Some(PARAMETERS) => wanted.parameters = Some((name, object)),
                Some(RESOURCE) => {
                    let logical = text(&object, "LogicalResourceId").unwrap_or_default();
                    let logical = logical.to_owned();
                    wanted.resources.insert(logical, (name, object));
                }
                _ => {}
            }
        }
        all.into_values().collect()
    }

    /// Those that are asked about: all, or the one that was named. Of several, one that has
    /// another name is none of them.
    pub(super) fn asked(
        mut all: Vec<Self>,
        given: &Given,
        told: Option<&Told>,
    ) -> Result<Vec<Self>, SourceError> {
        let name = match (given, told) {
            (Given::Live(None), _) => return Ok(all),
            (Given::Live(Some(name)), _) => name.clone(),
            (_, told) => told
                .and_then(Told::name)
                .map_or_else(|| stem(given), str::to_owned),
        };
        if all.len() <= 1 {
            return Ok(all);
        }
        let names: Vec<_> = all.iter().map(|wanted| wanted.name.clone()).collect();
        all.retain(|wanted| {
            let id = wanted.stack.as_ref();
            let id = id.and_then(|(_, stack)| text(stack, "StackId"));
            wanted.name == name || id == Some(&name)
        });
        if all.is_empty() {
            return Err(SourceError::Input {
                what: given.shown(),
                why: printable(&format!(
                    "no stack {name} was recorded, but {}",
                    names.join(", ")
                )),
            });
        }
        Ok(all)
    }

    /// Says that this is spoken for, and nothing else.
    pub(super) fn is_spoken_for(&self, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        for kind in ["stack", "template", "parameters", "resource"] {
            desk.speaks_for(&[kind, &self.name])?;
        }
        Ok(())
    }

    pub(super) fn artifacts(&self) -> impl Iterator<Item = &ArtifactName> {
        let others = self.stack.iter().chain(&self.template);
        let all = others.chain(&self.parameters);
        let all = all.chain(self.resources.values());
        all.map(|(artifact, _)| artifact)
    }
}
