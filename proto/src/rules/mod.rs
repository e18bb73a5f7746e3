//! What an entry does to the ledger's state, and who may make it so: the one place.
//! SPEC.md section 7.
//!
//! The sequencer, a follower, an auditor and a verifier of one release all call this
//! module, so an auditor checks the server with the server's own rules.
//!
//! ```text
//! Submission --authenticate--> SignedSubmission --State::apply--> the next state
//!  decoded       signed, by keys that the policy names       allowed, and in order
//! ```
//!
//! Invariant: a refused entry changes nothing.

mod authority;
mod chain;
mod environment;
mod hosts;
mod names;
mod orders;
mod restore;
mod state;

use thiserror::Error;

pub use authority::{Authority, SignedSubmission, authenticate_genesis};
pub use chain::{Counted, PolicyChain, PolicyStep};
pub use environment::{EnvironmentState, ReleaseMark, Step};
pub use hosts::{HostState, HostStep};
pub use names::{NAME_REUSE, Naming};
pub use orders::OrderStep;
pub use restore::Restoring;
pub use state::{Effect, State};

use crate::{
    entry::{EntryError, MapRecord},
    hash::{ContentId, Index, KeyId, LeafHash, Sequence, Sha256, Version},
    name::{ArtifactName, Environment, Label},
    policy::Right,
    reason::Reason,
};

/// Which rule an entry breaks, with what it took to see it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// The bytes are no entry, or the document is not its own.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// A second genesis.
    #[error("a genesis entry stands only at index 0")]
    GenesisTwice,
    /// No genesis.
    #[error("the log does not begin with a genesis entry")]
    GenesisMissing,
    /// The two keys are not a ledger's.
    #[error("the genesis entry's keys are not a log key and a clock key named by the origin")]
    GenesisKeys,
    /// Signed for another ledger.
    #[error("signed for ledger {found}, this is {this}")]
    WrongLedger {
        /// The ledger it was signed for.
        found: LeafHash,
        /// This ledger.
        this: LeafHash,
    },
    /// The policy's version does not follow.
    #[error("policy version {found} where {expected} is next")]
    WrongVersion {
        /// The version stated.
        found: Version,
        /// The only one that can follow.
        expected: Version,
    },
    /// What the current policy revokes the new one does not, or less.
    #[error("the policy revokes key {keyid} less than the one before")]
    RevocationLifted {
        /// The key.
        keyid: KeyId,
    },
    /// Signed by a key that had been compromised by then.
    #[error(
        "of those who signed entry {index} {} was compromised by then; {remaining} of {needed} \
         deployers remain",
        struck.iter().map(Label::as_str).collect::<Vec<_>>().join(", ")
    )]
    SignerCompromised {
        /// Where the entry stands.
        index: Index,
        /// Whose signatures count for nothing.
        struck: Vec<Label>,
        /// How many others signed.
        remaining: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The release's sequence does not follow.
    #[error("{environment}#{found} where #{expected} is next")]
    WrongSequence {
        /// Where.
        environment: Environment,
        /// The sequence stated.
        found: Sequence,
        /// The only one that can follow.
        expected: Sequence,
    },
    /// An order's, an approval's or an enrolment's number does not follow.
    #[error("number {found} where {expected} is next")]
    WrongNumber {
        /// The number stated.
        found: u64,
        /// The only one that can follow.
        expected: u64,
    },
    /// The break-glass order that a release names is none, or not for its environment.
    #[error("the release names a break-glass order that is none, or not for its environment")]
    BreakGlassUnknown,
    /// The order's time is over, or too far away.
    #[error(
        "the break-glass order expires at {expires} (Unix seconds): over, or more than 30 days ahead"
    )]
    BreakGlassExpired {
        /// When.
        expires: u64,
    },
    /// A release stores what was erased.
    #[error("{name}: content {content} was erased by entry {index}")]
    ContentErased {
        /// The artifact.
        name: ArtifactName,
        /// Its content.
        content: ContentId,
        /// Which entry erased it.
        index: Index,
    },
    /// Erased twice.
    #[error("content {content} was erased by entry {index} already")]
    AlreadyErased {
        /// The content.
        content: ContentId,
        /// Which entry erased it.
        index: Index,
    },
    /// An approval of something else.
    #[error("an approval names the manifest of the release that it approves")]
    ApprovalManifest,
    /// The keys cannot take over.
    #[error("the keys that are to take over are not two new keys of this log")]
    SuccessionKeys,
    /// The order does not stand right behind the head that it names.
    #[error("the head that the order names is not the last that the log signed, right before it")]
    SuccessionHead,
    /// The dismissal is of another record, or of nobody.
    #[error("no host is enrolled with that record")]
    HostOther,
    /// The predecessor is another.
    #[error("the entry does not name its predecessor")]
    WrongPrevious {
        /// The leaf hash stated.
        found: Option<LeafHash>,
        /// The predecessor's.
        expected: Option<LeafHash>,
    },
    /// A key that the policy does not name for the role.
    #[error("key {keyid} is not named by the policy for this")]
    UnknownSigner {
        /// The key.
        keyid: KeyId,
    },
    /// A signature that does not verify.
    #[error("a signature does not verify")]
    BadSignature,
    /// A deployer, but not for this.
    #[error("{signer} may not {} {environment}", right.as_str())]
    SignerNotAllowed {
        /// Who.
        signer: Label,
        /// What.
        right: Right,
        /// Where.
        environment: Environment,
    },
    /// More deployers must sign.
    #[error("{found} of {needed} deployers signed for {environment}")]
    TooFewApprovals {
        /// Where.
        environment: Environment,
        /// How many did.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// More admins must sign.
    #[error("{found} of {needed} admins of policy version {version} signed")]
    TooFewSignatures {
        /// Whose threshold.
        version: Version,
        /// How many did.
        found: usize,
        /// How many it takes.
        needed: usize,
    },
    /// No such release to go back to.
    #[error("there is no release #{target} to roll back to")]
    RollbackTarget {
        /// The sequence named.
        target: Sequence,
    },
    /// Not what that release was.
    #[error("the artifacts are not those of release #{target}")]
    RollbackArtifacts {
        /// The sequence named.
        target: Sequence,
    },
    /// A name that stays the same bytes is given to others.
    #[error("{name} is sha256:{was} since entry {index}, and not sha256:{found}")]
    NameReused {
        /// The name.
        name: ArtifactName,
        /// The entry that gave it last.
        index: Index,
        /// What it stands for.
        was: Sha256,
        /// What it would stand for.
        found: Sha256,
    },
    /// Nothing stands.
    #[error("there is no standing release to retire")]
    AlreadyRetired,
    /// A retirement of something else.
    #[error("a retirement keeps its predecessor's manifest")]
    RetireManifest,
    /// The server's own arithmetic is off.
    #[error("the map record states {found:?}, the leaves add up to {expected:?}")]
    MapRecordWrong {
        /// What the leaf says.
        found: Box<MapRecord>,
        /// What it should say; its time is the least allowed.
        expected: Box<MapRecord>,
    },
}

impl RuleError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Entry(error) => error.reason(),
            Self::GenesisTwice => Reason::GenesisTwice,
            Self::GenesisMissing => Reason::GenesisMissing,
            Self::GenesisKeys => Reason::GenesisKeys,
            Self::WrongLedger { .. } => Reason::WrongLedger,
            Self::WrongVersion { .. } => Reason::WrongVersion,
            Self::RevocationLifted { .. } => Reason::RevocationLifted,
            Self::SignerCompromised { .. } => Reason::SignerCompromised,
            Self::WrongSequence { .. } => Reason::WrongSequence,
            Self::WrongPrevious { .. } => Reason::WrongPrevious,
            Self::WrongNumber { .. } => Reason::WrongNumber,
            Self::BreakGlassUnknown => Reason::BreakGlassUnknown,
            Self::BreakGlassExpired { .. } => Reason::BreakGlassExpired,
            Self::ContentErased { .. } => Reason::ContentErased,
            Self::AlreadyErased { .. } => Reason::AlreadyErased,
            Self::SuccessionKeys => Reason::SuccessionKeys,
            Self::SuccessionHead => Reason::SuccessionHead,
            Self::HostOther => Reason::HostOther,
            Self::UnknownSigner { .. } => Reason::UnknownSigner,
            Self::BadSignature => Reason::BadSignature,
            Self::SignerNotAllowed { .. } => Reason::SignerNotAllowed,
            Self::TooFewApprovals { .. } => Reason::TooFewApprovals,
            Self::TooFewSignatures { .. } => Reason::TooFewSignatures,
            Self::RollbackTarget { .. } => Reason::RollbackTarget,
            Self::RollbackArtifacts { .. } => Reason::RollbackArtifacts,
            Self::NameReused { .. } => Reason::NameReused,
            Self::AlreadyRetired => Reason::AlreadyRetired,
            Self::RetireManifest => Reason::RetireManifest,
            Self::ApprovalManifest => Reason::ApprovalManifest,
            Self::MapRecordWrong { .. } => Reason::MapRecordWrong,
        }
    }
}
