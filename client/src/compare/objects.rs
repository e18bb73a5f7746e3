//! Objects of deployment tools, in a release: which fields of each differ.

use cairn_proto::{
    manifest::{Manifest, Unmeasured as OfUnmeasured},
    name::ArtifactName,
};

use super::{
    ADDED_MAX, Comparer, Difference, DifferenceKind, FieldDifference, Outcome,
    fields::{self, Fields, Rules, Signed, UNKNOWN},
    side::Side,
};
use serde_json::Value;

use crate::systems::{self, strict::any_text};

impl Comparer<'_> {
    /// An object that was found: its fields against those that were recorded.
    pub(super) fn object(&mut self, name: &str, recorded: &Side<'_>, found: &Side<'_>) -> Outcome {
        let manifest = self.recorded.manifest();
        let artifact = manifest.artifact(name);
        let media_type = artifact.and_then(|artifact| artifact.media_type.as_deref());
        let rules = media_type.and_then(systems::rules);
        // What nobody has rules for is unmeasured, and so is a secret whose key is not here.
        let right = self.capture.object(name);
        let untold = right
            .as_ref()
            .is_none_or(|right| any_text(right, &|text| text == UNKNOWN));
        if rules.is_some() && !untold && recorded.difference(found).is_none() {
            return Outcome::Matches;
        }
        let left = self.recorded.object(name);
        let (Some(artifact), Some(rules), Some(left), Some(right)) = (artifact, rules, left, right)
        else {
            self.outcome.measured -= 1;
            let why = match rules {
                None => "this cairn does not know how to compare it",
                Some(_) => "its recorded fields are not at hand",
            };
            let recorded = Some(recorded.describe());
            let why = Some(why.to_owned());
            self.differ(name, "", DifferenceKind::Unverifiable, recorded, why);
            return Outcome::Differs;
        };
        let fields = compare_as_signed(manifest, &artifact.name, (&left, &right), rules);
        self.take(name, fields)
    }

    fn take(&mut self, name: &str, fields: Fields) -> Outcome {
        self.outcome.ignored += fields.ignored;
        self.outcome.accepted_unmeasured += fields.accepted;
        self.outcome.more_added += fields.more_added;
        for field in fields.added {
            if self.outcome.added.len() < ADDED_MAX {
                self.outcome.added.push(difference(name, field));
            } else {
                self.outcome.more_added += 1;
            }
        }
        let exact = fields.differences.is_empty() && fields.accepted == 0;
        let differences = fields.differences.into_iter();
        let differences = differences.map(|field| difference(name, field));
        self.outcome.differences.extend(differences);
        if fields.more > 0 {
            let more = Some(format!("and {} more fields", fields.more));
            self.differ(name, "", DifferenceKind::Changed, None, more);
        }
        if exact {
            Outcome::Matches
        } else {
            Outcome::Differs
        }
    }
}

/// Compares what was recorded of an object, or is made of it, with what was found, as a manifest
/// says.
pub(crate) fn compare_as_signed(
    manifest: &Manifest,
    name: &ArtifactName,
    (recorded, found): (&Value, &Value),
    rules: &dyn Rules,
) -> Fields {
    let comparison = manifest.comparison();
    let ignore: Vec<_> = comparison.pointers(name).collect();
    let signed = Signed {
        ignore: &ignore,
        accept: comparison.unmeasured == OfUnmeasured::Accept,
    };
    fields::compare(recorded, found, rules, signed)
}

fn difference(name: &str, field: FieldDifference) -> Difference {
    Difference {
        artifact: name.to_owned(),
        path: field.path,
        kind: field.kind,
        recorded: field.recorded,
        found: field.found,
    }
}
