//! What deployment tools deployed: one adapter for each system, and one way to record and to
//! compare for all.
//!
//! ```text
//! record  Given --System::capture--> Desk --Capture--> manifest, contents
//! verify  Given --System::observe--> Desk --Capture--> compare, by the system's Rules
//! ```
//!
//! A system is one module and one line in [`ALL`]. Invariants: what is recorded is what the
//! tool itself said, or raw bytes, never a meaning of ours; no secret leaves in clear; what
//! could not be observed is unmeasured and never a match. Out of scope: files, directories and
//! image layouts ([`crate::sources`]).

mod aws;
mod beanstalk;
mod cloudformation;
mod desk;
mod detect;
mod docker;
mod given;
mod helm;
mod kubernetes;
pub(crate) mod strict;
mod terraform;
#[cfg(test)]
mod tests;
mod tool;

use std::{ffi::OsString, path::Path};

use cairn_proto::reason::Reason;

use crate::{
    compare::Rules,
    sources::{Capture, Recorded, SourceError, TagContext},
};

pub use desk::Desk;
pub use detect::{Named, told_apart};
pub use given::{Asked, Given};

/// Every system, in the order of the help text.
pub static ALL: [&dyn System; 6] = [
    &docker::Docker,
    &kubernetes::Kubernetes,
    &helm::Helm,
    &terraform::Terraform,
    &cloudformation::CloudFormation,
    &beanstalk::Beanstalk,
];

/// A deployment tool: how what it deployed is recorded, and how it is found again.
pub trait System: Sync {
    /// Its name: of its flag, and of the first segment of its artifacts' names.
    fn name(&self) -> &'static str;

    /// What its flag takes, in a sentence.
    fn about(&self) -> &'static str;

    /// What to record.
    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError>;

    /// The same of all that was given, in that order: for what belongs to what was given before.
    fn capture_all(&self, all: &[&Given], desk: &mut Desk<'_>) -> Result<(), SourceError> {
        all.iter().try_for_each(|given| {
            self.capture(given, desk)?;
            desk.has_read()
        })
    }

    /// What there is now of what was recorded.
    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError>;

    /// Other systems whose recorded objects it looks at when it observes.
    fn reads(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a file is one that the tool wrote, and can be nothing else.
    fn wrote(&self, _file: &Path) -> bool {
        false
    }

    /// What a command of the tool deploys, if that shows: where to read it afterwards.
    fn deployed_by(&self, _program: &str, _arguments: &[&str]) -> Option<Given> {
        None
    }

    /// Whether what a command shows is there before it: what it reads, and not what it writes.
    fn is_read_by_it(&self) -> bool {
        true
    }

    /// Whether what was given is there before it is deployed: what is live is not.
    fn is_beforehand(&self, given: &Given) -> bool {
        !matches!(given, Given::Live(_))
    }

    /// What to ask so as to verify what was recorded of it: what runs, not what was given.
    fn verified_by(&self, given: &Given) -> Given {
        match given {
            Given::Live(_) => given.clone(),
            _ => Given::Live(None),
        }
    }

    /// The command that brings about what a release recorded, if there is one.
    fn realise(&self, _reference: &str, _recorded: &Recorded<'_>) -> Option<String> {
        None
    }

    /// How objects of a media type of its own are compared.
    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules>;
}

/// Ends the tools that run, and removes what private files they were given: for a process that
/// is about to end without coming back to them.
pub fn abandon() {
    tool::abandon();
}

/// How a deployment tool brings about what was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realised {
    /// Which.
    pub system: &'static str,
    /// The command.
    pub command: String,
}

/// How objects of a media type are compared; `None` if no system knows it.
pub(crate) fn rules(media_type: &str) -> Option<&'static dyn Rules> {
    ALL.iter().find_map(|system| system.rules(media_type))
}

/// The systems that a release has objects of.
pub fn recorded_systems(recorded: &Recorded<'_>) -> Vec<&'static str> {
    let has = |name: &str| recorded.objects_of(name).next().is_some();
    let names = ALL.iter().map(|system| system.name());
    names.filter(|name| has(name)).collect()
}

/// What a command deploys, where one of the systems knows.
pub fn deployed_by(command: &[OsString]) -> Option<Asked> {
    let words: Option<Vec<&str>> = command.iter().map(|word| word.to_str()).collect();
    let words = words?;
    let (program, arguments) = words.split_first()?;
    let program = program.rsplit('/').next().unwrap_or(program);
    ALL.iter().find_map(|system| {
        let given = system.deployed_by(program, arguments)?;
        Some(Asked {
            system: *system,
            given,
        })
    })
}

/// Captures what is to be recorded, beside what was captured of files.
pub fn capture(
    asked: &[Asked],
    tags: Option<&TagContext>,
    onto: &mut Capture,
) -> Result<(), SourceError> {
    for (system, all) in by_system(asked) {
        let mut desk = Desk::new(system.name(), tags, true);
        system.capture_all(&all, &mut desk)?;
        desk.finish(onto)?;
    }
    Ok(())
}

/// Observes what there is now, beside what was captured of files.
pub fn observe(
    asked: &[Asked],
    recorded: &Recorded<'_>,
    tags: Option<&TagContext>,
    onto: &mut Capture,
) -> Result<(), SourceError> {
    for (system, all) in by_system(asked) {
        let mut desk = Desk::new(system.name(), tags, false);
        // Of what was recorded of these nobody here knows more than the digests: an adapter
        // does not even know what to ask for.
        for (artifact, fields) in recorded.objects_of(system.name()) {
            let media_type = artifact.media_type.as_deref();
            let why = match (fields, media_type.and_then(rules)) {
                (Some(_), Some(_)) => continue,
                (None, _) => "its recorded fields are not at hand",
                (_, None) => "this cairn does not know how to compare it",
            };
            desk.unmeasured(&artifact.name, Reason::ContentMissing, why);
        }
        for given in all {
            system.observe(given, recorded, &mut desk)?;
            desk.has_read()?;
        }
        desk.finish(onto)?;
    }
    Ok(())
}

/// All that was given for each system: one desk speaks for a system.
fn by_system(asked: &[Asked]) -> Vec<(&'static dyn System, Vec<&Given>)> {
    let systems = ALL.iter().map(|system| {
        let own = asked.iter().filter(|it| it.system.name() == system.name());
        (*system, own.map(|it| &it.given).collect::<Vec<_>>())
    });
    systems.filter(|(_, all)| !all.is_empty()).collect()
}
