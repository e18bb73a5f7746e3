//! Files that a tool wrote and that can be nothing else: named as a path, they are read as if
//! the tool's flag had named them.
//!
//! Invariants: what was given a name of its own, `NAME=PATH`, stays a file; to verify, nothing
//! is read so where the release has no objects of that tool, or has a file of that name; and the
//! others are named as they would be if nothing had been told apart.

use cairn_proto::manifest::Manifest;

use super::{ALL, Asked, Given};
use crate::sources::{Input, Recorded, base_name, shown};

/// What a command line named, told apart.
#[derive(Debug, Default)]
pub struct Named {
    /// Files and directories.
    pub inputs: Vec<Input>,
    /// What is a tool's.
    pub asked: Vec<Asked>,
    /// What was taken for a tool's, for people.
    pub notes: Vec<String>,
}

/// Tells apart what was named; to verify, by what was recorded.
pub fn told_apart(inputs: &[Input], asked: &[Asked], recorded: Option<&Manifest>) -> Named {
    let mut named = Named {
        asked: asked.to_vec(),
        ..Named::default()
    };
    // `.` has no name beside others.
    let nameless = |it: &Input| it.name.is_none() && base_name(&it.path).is_err();
    let as_typed = inputs.len() > 1 && inputs.iter().any(nameless);
    for input in inputs {
        match of_a_tool(input, recorded).filter(|_| !as_typed) {
            None => named.inputs.push(input.clone()),
            Some(found) => {
                let path = shown(&input.path);
                let system = found.system.name();
                named.notes.push(format!(
                    "{path} is read as --{system}={path}; NAME={path} is the file itself"
                ));
                named.asked.push(found);
            }
        }
    }
    if let ([only], true) = (named.inputs.as_mut_slice(), inputs.len() > 1) {
        // A directory that is alone gives its files no prefix.
        let own = base_name(&only.path).ok().map(|name| name.to_string());
        only.name = only.name.take().or(own);
    }
    named
}

fn of_a_tool(input: &Input, recorded: Option<&Manifest>) -> Option<Asked> {
    let path = input.path.as_path();
    if input.name.is_some() || !path.is_file() {
        return None;
    }
    let name = base_name(path).ok()?;
    if recorded.is_some_and(|recorded| recorded.artifact(name.as_str()).is_some()) {
        return None;
    }
    let has = |name: &str| {
        recorded.is_none_or(|recorded| Recorded::new(recorded).objects_of(name).next().is_some())
    };
    let mut systems = ALL.into_iter();
    let system = systems.find(|system| has(system.name()) && system.wrote(path))?;
    Some(Asked {
        system,
        given: Given::File(path.into()),
    })
}
