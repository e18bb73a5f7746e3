//! How a manifest's artifacts are compared with what runs. SPEC.md section 5.

use crate::{
    json::{Field, JsonError, Value, ascending},
    name::ArtifactName,
    reason::Reason,
};

/// How artifacts are compared, by name and version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// `files/v1`: files, directories, trees and OCI layouts, by their bytes.
    #[default]
    Files,
    /// `objects/v1`: these, and objects of deployment tools, by their fields.
    Objects,
}

impl Profile {
    const NAMES: [(Self, &'static str); 2] =
        [(Self::Files, "files/v1"), (Self::Objects, "objects/v1")];

    /// The text in a manifest.
    pub fn as_str(self) -> &'static str {
        let mut names = Self::NAMES.iter();
        let found = names.find(|(profile, _)| *profile == self);
        found.map_or("", |(_, name)| name)
    }

    fn decode(field: &Field) -> Result<Self, JsonError> {
        let text = field.text(0..=usize::MAX)?;
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found
            .map(|(profile, _)| *profile)
            .ok_or_else(|| field.error(Reason::NeedsNewerCairn))
    }

    /// Whether an ignore pointer is one of this profile.
    fn has_pointer(self, text: &str) -> bool {
        let split = match self {
            Self::Files => text.strip_suffix("#/mode").map(|target| (target, "mode")),
            Self::Objects => text.split_once("#/"),
        };
        split.is_some_and(|(target, path)| {
            let named = target == "*" || target.parse::<ArtifactName>().is_ok();
            named && !path.is_empty() && !path.bytes().any(|byte| byte < 0x20 || byte == 0x7f)
        })
    }
}

/// What of a release's artifacts is compared, inside what the deployer signs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Comparison {
    /// How.
    pub profile: Profile,
    /// `<artifact or *>#/mode`, or in `objects/v1` another pointer after `#`; strictly ascending.
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
        self.pointers(name).any(|pointer| pointer == "/mode")
    }

    /// The pointers, each beginning with `/`, to what is not compared of an artifact.
    pub fn pointers<'a>(&'a self, name: &'a ArtifactName) -> impl Iterator<Item = &'a str> {
        self.ignore.iter().filter_map(move |text| {
            let at = match self.profile {
                Profile::Files => text.len().checked_sub("#/mode".len())?,
                Profile::Objects => text.find("#/")?,
            };
            let (target, pointer) = text.split_at_checked(at)?;
            let meant = target == "*" || target == name.as_str();
            pointer.strip_prefix('#').filter(|_| meant)
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
            ("profile", Value::text(self.profile.as_str())),
            ("unmeasured", Value::text(unmeasured)),
        ])
    }

    pub(super) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let profile = Profile::decode(&members.take("profile")?)?;
        let ignore = members
            .take("ignore")?
            .array(0..=256)?
            .iter()
            .map(|field| decode_pointer(field, profile))
            .collect::<Result<Vec<_>, _>>()?;
        ascending(&ignore, "comparison.ignore")?;
        let unmeasured = members.take("unmeasured")?;
        let unmeasured = match unmeasured.text(1..=16)? {
            "refuse" => Unmeasured::Refuse,
            "accept" => Unmeasured::Accept,
            _ => return Err(unmeasured.invalid()),
        };
        members.finish()?;
        Ok(Self {
            profile,
            ignore,
            unmeasured,
        })
    }
}

fn decode_pointer(field: &Field, profile: Profile) -> Result<String, JsonError> {
    let text = field.text(1..=2_048)?;
    if profile.has_pointer(text) {
        Ok(text.to_owned())
    } else {
        Err(field.invalid())
    }
}
