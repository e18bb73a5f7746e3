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

mod desk;
mod docker;
mod given;
mod kubernetes;
pub(crate) mod strict;
#[cfg(test)]
mod tests;
mod tool;

use crate::{
    compare::Rules,
    sources::{Capture, Recorded, SourceError, TagContext},
};

pub use desk::Desk;
pub use given::{Asked, Given};

/// Every system, in the order of the help text.
pub static ALL: [&dyn System; 2] = [&docker::Docker, &kubernetes::Kubernetes];

/// A deployment tool: how what it deployed is recorded, and how it is found again.
pub trait System: Sync {
    /// Its name: of its flag, and of the first segment of its artifacts' names.
    fn name(&self) -> &'static str;

    /// What its flag takes, in a sentence.
    fn about(&self) -> &'static str;

    /// What to record.
    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError>;

    /// What there is now of what was recorded.
    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError>;

    /// How objects of a media type of its own are compared.
    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules>;
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

/// Captures what is to be recorded, beside what was captured of files.
pub fn capture(
    asked: &[Asked],
    tags: Option<&TagContext>,
    onto: &mut Capture,
) -> Result<(), SourceError> {
    for (system, givens) in by_system(asked) {
        let mut desk = Desk::new(system.name(), tags, true);
        for given in givens {
            system.capture(given, &mut desk)?;
            desk.has_read()?;
        }
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
    for (system, givens) in by_system(asked) {
        let mut desk = Desk::new(system.name(), tags, false);
        for given in givens {
            system.observe(given, recorded, &mut desk)?;
            desk.has_read()?;
        }
        desk.finish(onto)?;
    }
    Ok(())
}

/// What was given for each system: what several sources say of one is laid on one desk.
fn by_system(asked: &[Asked]) -> Vec<(&'static dyn System, Vec<&Given>)> {
    let of = |system: &'static dyn System| {
        let own = asked.iter().filter(|it| it.system.name() == system.name());
        let givens: Vec<_> = own.map(|it| &it.given).collect();
        (!givens.is_empty()).then_some((system, givens))
    };
    ALL.iter().filter_map(|system| of(*system)).collect()
}
