//! Trust in C2SP's tlog-policy form: whose log, which witnesses, how many of them.
//!
//! Every file of the form is read. A trust file counts witnesses and knows no groups, so a
//! quorum over groups is taken where it says the very same as "so many of these keys", and is
//! refused otherwise: nothing is approximated, neither to more nor to less.
//!
//! Which that are: a name is the member of one group at most, so every witness stands in a
//! quorum once and decides it in some case. Then "k of n" can be split into groups only where
//! all of them are needed or any one is enough; see `Count::of_group`.

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{
    limits::COSIGNERS_MAX,
    note::VerifierKey,
    reason::Reason,
    trust::{Cosigners, Trust},
};
use thiserror::Error;

use line::{Line, Threshold};

/// Bytes of a file: room for some hundreds of logs, witnesses and groups, where C2SP asks for
/// 32 of each.
pub const BYTES_MAX: usize = 64 << 10;

/// Why a file was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {fault}")]
pub struct TlogPolicyError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub fault: TlogPolicyFault,
}

/// What is wrong with a line. Names in here are safe to print.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TlogPolicyFault {
    /// More bytes than are read.
    #[error("the file is longer than {BYTES_MAX} bytes")]
    TooLong,
    /// Another control character than tab and newline.
    #[error("it holds a control character")]
    Control,
    /// None of the form's lines, or with too few or too many words.
    #[error("it is no line of a tlog-policy")]
    Line,
    /// Not a vkey, or one whose id does not fit.
    #[error("not a verifier key of the form name+id+key")]
    Key,
    /// A log's key does not sign notes, or a witness's does not cosign them.
    #[error("the key is not of a type that a {role} signs with")]
    KeyType {
        /// `log` or `witness`.
        role: &'static str,
    },
    /// The same key again, under whatever name.
    #[error("the key was named before, in line {before}")]
    KeyTwice {
        /// Where.
        before: usize,
    },
    /// A name stands for something already.
    #[error("the name {name} is taken")]
    NameTaken {
        /// Which.
        name: String,
    },
    /// A group or the quorum names what no line before defines.
    #[error("{name} was not defined before")]
    Unknown {
        /// Which.
        name: String,
    },
    /// A name in two groups, or twice in one.
    #[error("{name} is a member of a group already")]
    MemberTwice {
        /// Which.
        name: String,
    },
    /// A number that fits no group of so many.
    #[error("the threshold is not `all`, `any`, or a number from 1 to {members}")]
    Threshold {
        /// How many the group has.
        members: usize,
    },
    /// A second quorum line.
    #[error("there is a quorum already, in line {before}")]
    QuorumTwice {
        /// Where.
        before: usize,
    },
    /// No quorum line.
    #[error("there is no quorum line")]
    NoQuorum,
    /// The quorum cannot be said as a number of keys.
    #[error(
        "group {name} is not the same as a number of its witnesses, whichever they are, and a \
         trust file counts witnesses alone"
    )]
    NotACount {
        /// Which group.
        name: String,
    },
    /// The quorum takes a witness whose key nobody here can verify.
    #[error("the quorum takes witness {name}, whose key is of a type not known here")]
    KeyUnknown {
        /// Which witness.
        name: String,
    },
    /// The quorum takes more witnesses than can be pinned.
    #[error("the quorum takes {number} witnesses; {COSIGNERS_MAX} can be pinned")]
    TooMany {
        /// How many.
        number: usize,
    },
    /// Keys that cannot be pinned together.
    #[error("the quorum's witnesses cannot be pinned together")]
    Cosigners,
}

impl TlogPolicyError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self.fault {
            TlogPolicyFault::NotACount { .. }
            | TlogPolicyFault::KeyUnknown { .. }
            | TlogPolicyFault::TooMany { .. }
            | TlogPolicyFault::Cosigners => Reason::TlogPolicyQuorum,
            _ => Reason::TlogPolicySyntax,
        }
    }
}

/// What a file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogPolicy {
    /// The logs whose checkpoints are accepted, as far as their keys are known here; `None`
    /// where the file names none at all.
    pub logs: Option<Vec<VerifierKey>>,
    /// The witnesses of the quorum; none where it says `none`.
    pub witnesses: Option<Cosigners>,
}

/// What must have cosigned for a name to count as having done so.
#[derive(Debug, Clone)]
enum Rule {
    Count(Count),
    /// The group that is no count, and its line.
    Other {
        line: usize,
        name: String,
    },
}

/// So many of these witnesses, whichever they are; witnesses by where they stand.
#[derive(Debug, Clone)]
struct Count {
    needed: usize,
    of: Vec<usize>,
}

impl Count {
    /// A group of these as one count, if it is one. With one member it is that member. Of
    /// single witnesses it is what it says. `any` of what any one witness satisfies, and `all`
    /// of what takes all, are that of all their witnesses. Anything else tells witnesses of
    /// one member from those of another, which no count does.
    fn of_group(needed: usize, members: &[&Self]) -> Option<Self> {
        let all = |fits: fn(&Self) -> bool| members.iter().all(|member| fits(member));
        let number = members.iter().map(|member| member.of.len()).sum();
        let needed = if all(|member| member.of.len() == 1) {
            needed
        } else if let [only] = members {
            only.needed
        } else if needed == 1 && all(|member| member.needed == 1) {
            1
        } else if needed == members.len() && all(|member| member.needed == member.of.len()) {
            number
        } else {
            return None;
        };
        let of = members.iter().flat_map(|member| member.of.iter().copied());
        let of = of.collect();
        Some(Self { needed, of })
    }
}

/// A witness by its name; the key is `None` if its type is not known here.
struct Witness {
    name: String,
    key: Option<VerifierKey>,
}

#[derive(Default)]
struct Reading<'a> {
    logs: Option<Vec<VerifierKey>>,
    witnesses: Vec<Witness>,
    rules: BTreeMap<&'a [u8], Rule>,
    /// Names that are a member of a group already.
    members: BTreeSet<&'a [u8]>,
    /// The bytes of keys, and the lines that name them.
    log_keys: BTreeMap<Vec<u8>, usize>,
    witness_keys: BTreeMap<Vec<u8>, usize>,
    /// The quorum and its line; `None` is nobody.
    quorum: Option<(usize, Option<Rule>)>,
}

impl TlogPolicy {
    /// Reads a file.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogPolicyError> {
        let at = |line: usize| move |fault: TlogPolicyFault| TlogPolicyError { line, fault };
        if bytes.len() > BYTES_MAX {
            return Err(at(1)(TlogPolicyFault::TooLong));
        }
        let mut reading = Reading::default();
        let mut last = 1;
        for (text, number) in bytes.split(|byte| *byte == b'\n').zip(1..) {
            if let Some(line) = Line::read(text).map_err(at(number))? {
                reading.line(line, number).map_err(at(number))?;
                last = number;
            }
        }
        reading.end(last)
    }
}

impl<'a> Reading<'a> {
    fn line(&mut self, line: Line<'a>, number: usize) -> Result<(), TlogPolicyFault> {
        match line {
            Line::Log(key) => {
                once(&mut self.log_keys, key.bytes, number)?;
                self.logs.get_or_insert_default().extend(key.known);
            }
            Line::Witness(name, key) => {
                once(&mut self.witness_keys, key.bytes, number)?;
                let of = vec![self.witnesses.len()];
                self.define(name, Rule::Count(Count { needed: 1, of }))?;
                self.witnesses.push(Witness {
                    name: line::shown(name),
                    key: key.known,
                });
            }
            Line::Group(name, threshold, members) => {
                let rule = self.group(name, threshold, &members, number)?;
                self.define(name, rule)?;
            }
            Line::Quorum(name) => {
                if let Some((before, _)) = self.quorum {
                    return Err(TlogPolicyFault::QuorumTwice { before });
                }
                let rule = match name {
                    line::NOBODY => None,
                    name => Some(self.rule(name)?.clone()),
                };
                self.quorum = Some((number, rule));
            }
        }
        Ok(())
    }

    fn define(&mut self, name: &'a [u8], rule: Rule) -> Result<(), TlogPolicyFault> {
        if name == line::NOBODY || self.rules.contains_key(name) {
            let name = line::shown(name);
            return Err(TlogPolicyFault::NameTaken { name });
        }
        self.rules.insert(name, rule);
        Ok(())
    }

    fn rule(&self, name: &[u8]) -> Result<&Rule, TlogPolicyFault> {
        let unknown = || TlogPolicyFault::Unknown {
            name: line::shown(name),
        };
        self.rules.get(name).ok_or_else(unknown)
    }

    fn group(
        &mut self,
        name: &[u8],
        threshold: Threshold,
        members: &[&'a [u8]],
        line: usize,
    ) -> Result<Rule, TlogPolicyFault> {
        for member in members {
            self.rule(member)?;
            if !self.members.insert(member) {
                let name = line::shown(member);
                return Err(TlogPolicyFault::MemberTwice { name });
            }
        }
        let number = members.len();
        let needed = match threshold {
            Threshold::Any => 1,
            Threshold::All => number,
            Threshold::Number(needed) => needed.unwrap_or_default(),
        };
        if !(1..=number).contains(&needed) {
            return Err(TlogPolicyFault::Threshold { members: number });
        }
        let mut counts = Vec::new();
        for member in members {
            match self.rule(member)? {
                Rule::Count(count) => counts.push(count),
                // Nothing that a group makes of it is a count again, unless it is alone; then
                // it is still the group below that is none.
                other @ Rule::Other { .. } => return Ok(other.clone()),
            }
        }
        let count = Count::of_group(needed, &counts).map(Rule::Count);
        let name = line::shown(name);
        Ok(count.unwrap_or(Rule::Other { line, name }))
    }

    fn end(self, last: usize) -> Result<TlogPolicy, TlogPolicyError> {
        let at = |line: usize, fault| TlogPolicyError { line, fault };
        let (line, rule) = self
            .quorum
            .ok_or_else(|| at(last, TlogPolicyFault::NoQuorum))?;
        let witnesses = match rule {
            None => None,
            Some(Rule::Other { line, name }) => {
                return Err(at(line, TlogPolicyFault::NotACount { name }));
            }
            Some(Rule::Count(count)) => {
                let pinned = pin(&self.witnesses, &count);
                Some(pinned.map_err(|fault| at(line, fault))?)
            }
        };
        Ok(TlogPolicy {
            logs: self.logs,
            witnesses,
        })
    }
}

fn pin(witnesses: &[Witness], count: &Count) -> Result<Cosigners, TlogPolicyFault> {
    let number = count.of.len();
    if number > COSIGNERS_MAX {
        return Err(TlogPolicyFault::TooMany { number });
    }
    let mut keys = Vec::new();
    for witness in count.of.iter().filter_map(|at| witnesses.get(*at)) {
        let unknown = || TlogPolicyFault::KeyUnknown {
            name: witness.name.clone(),
        };
        keys.push(witness.key.clone().ok_or_else(unknown)?);
    }
    Cosigners::new(keys, count.needed).map_err(|_| TlogPolicyFault::Cosigners)
}

/// A key stands once in its role, whatever its name.
fn once(
    keys: &mut BTreeMap<Vec<u8>, usize>,
    key: Vec<u8>,
    line: usize,
) -> Result<(), TlogPolicyFault> {
    match keys.insert(key, line) {
        Some(before) => Err(TlogPolicyFault::KeyTwice { before }),
        None => Ok(()),
    }
}

/// A ledger's trust in this form.
pub fn encode(trust: &Trust) -> String {
    let cosigners = trust.witnesses();
    let names: Vec<_> = (1..=cosigners.keys().len())
        .map(|number| format!("w{number}"))
        .collect();
    let mut lines = vec![format!("log {}", trust.log_key())];
    let pairs = names.iter().zip(cosigners.keys());
    lines.extend(pairs.map(|(name, key)| format!("witness {name} {key}")));
    if names.is_empty() {
        lines.push("quorum none".to_owned());
    } else {
        let (quorum, names) = (cosigners.quorum(), names.join(" "));
        lines.push(format!("group witnesses {quorum} {names}"));
        lines.push("quorum witnesses".to_owned());
    }
    lines.push(String::new());
    lines.join("\n")
}
