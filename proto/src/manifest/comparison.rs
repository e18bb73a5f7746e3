//! How a manifest's artifacts are compared with what runs. SPEC.md section 5.

use crate::{
    json::{Field, JsonError, Value, ascending},
    name::ArtifactName,
    reason::Reason,
};

/// The comparison profile of files, directories, trees and OCI layouts.
pub const PROFILE_FILES: &str = "files/v1";

/// What of a release's artifacts is compared, inside what the deployer signs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// `<artifact or *>#/mode`, strictly ascending.
    pub ignore: Vec<String>,
    /// Whether a withheld artifact that cannot be measured spoils `VERIFIED`.
    pub unmeasured: Unmeasured,
}

/// What a withheld artifact that cannot be measured does to the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unmeasured {
    /// It is `UNVERIFIABLE`.
    #[default]
    Refuse,
    /// It is counted and passed over.
    Accept,
}

impl Comparison {
    /// Whether a difference of mode is ignored for this artifact.
    pub fn ignores_mode(&self, name: &ArtifactName) -> bool {
        self.ignore.iter().any(|pointer| {
            pointer
                .strip_suffix("#/mode")
                .is_some_and(|target| target == "*" || target == name.as_str())
        })
    }

    pub(super) fn encode(&self) -> Value<'static> {
        let unmeasured = match self.unmeasured {
            Unmeasured::Refuse => "refuse",
            Unmeasured::Accept => "accept",
        };
        Value::object([
            (
                "ignore",
                Value::Array(self.ignore.iter().map(Value::text).collect()),
            ),
            ("profile", Value::text(PROFILE_FILES)),
            ("unmeasured", Value::text(unmeasured)),
        ])
    }

    pub(super) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let profile = members.take("profile")?;
        if profile.text(0..=usize::MAX)? != PROFILE_FILES {
            return Err(profile.error(Reason::NeedsNewerCairn));
        }
        let ignore = members
            .take("ignore")?
            .array(0..=256)?
            .iter()
            .map(decode_pointer)
            .collect::<Result<Vec<_>, _>>()?;
        ascending(&ignore, "comparison.ignore")?;
        let unmeasured = members.take("unmeasured")?;
        let unmeasured = match unmeasured.text(1..=16)? {
            "refuse" => Unmeasured::Refuse,
            "accept" => Unmeasured::Accept,
            _ => return Err(unmeasured.invalid()),
        };
        members.finish()?;
        Ok(Self { ignore, unmeasured })
    }
}

fn decode_pointer(field: &Field) -> Result<String, JsonError> {
    let text = field.text(1..=2_048)?;
    let target = text.strip_suffix("#/mode").ok_or_else(|| field.invalid())?;
    if target == "*" || target.parse::<ArtifactName>().is_ok() {
        Ok(text.to_owned())
    } else {
        Err(field.invalid())
    }
}
