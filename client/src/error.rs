//! What can go wrong between a user and a proven answer.
//!
//! Invariant: every error has a stable [`Reason`] and one exit code, both decided here.
//! A failed proof is never called tampering; only what contradicts a signed head is, and
//! then the error names the file that holds the evidence.

mod home;

use std::{io, path::PathBuf};

use cairn_grpc::{FieldError, Refused};
use cairn_proto::{
    bundle::BundleError, checkpoint::CheckpointError, hash::Sequence, json::JsonError,
    key::SignError, manifest::ManifestError, name::Environment, reason::Reason, rules::RuleError,
    trust::KeysError, verify::VerifyError,
};
use thiserror::Error;

pub use home::HomeError;

use crate::{
    detail::printable,
    keys::KeyError,
    read::{Erasure, Logged},
    secrets::SecretError,
    sources::SourceError,
    staple::StapleError,
    verdict::Verdict,
};

/// Exit code of a command that was called wrongly.
const EXIT_USAGE: u8 = 2;
/// Exit code where no answer came in time.
const EXIT_UNREACHABLE: u8 = 3;
/// Exit code where the server would not.
const EXIT_DENIED: u8 = 4;

/// Why something asked of a ledger was not done, or not proven.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// A file of the home directory.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The request makes no sense.
    #[error("{why}")]
    Usage {
        /// Why.
        why: String,
    },
    /// No answer in time; retrying is safe.
    #[error("no answer from {address}: {why}")]
    Unreachable {
        /// Whom.
        address: String,
        /// What the network said, safe to print.
        why: String,
    },
    /// The server answered that it would not.
    #[error("the server refused: {}", printable(&.0.message))]
    Refused(Refused),
    /// The server's answer is not of its form.
    #[error("the server's answer is malformed: {0}")]
    Malformed(#[from] FieldError),
    /// The server's answer is larger than any true one.
    #[error("the server's answer to {what} is too large")]
    TooLarge {
        /// To what.
        what: &'static str,
    },
    /// The server does not have, or did not say, what is needed.
    #[error("the server did not give {what}")]
    Lacks {
        /// What.
        what: String,
    },
    /// The admins ordered it erased, and the order is proven.
    #[error("{0}")]
    Erased(Erasure),
    /// The note offered is no authentic checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The server did not prove that its log extends the one seen before.
    #[error("consistency between sizes {held} and {offered} is not proven")]
    Unproven {
        /// Size trusted before.
        held: u64,
        /// Size offered.
        offered: u64,
    },
    /// The log signed two histories.
    #[error("the log signed two histories; evidence: {}", evidence.display())]
    Forked {
        /// The file that convinces third parties.
        evidence: PathBuf,
    },
    /// Bytes contradict a signed head.
    #[error("{error}; evidence: {}", evidence.display())]
    Contradiction {
        /// What does not hold.
        error: VerifyError,
        /// The file that holds the bytes.
        evidence: PathBuf,
    },
    /// Evidence does not prove what it was given for, or a signer was not allowed.
    #[error(transparent)]
    Verify(VerifyError),
    /// The genesis entry is not the one that was named.
    #[error("the ledger's genesis is {found}, not {pinned}")]
    WrongGenesis {
        /// What it is.
        found: String,
        /// What was named.
        pinned: String,
    },
    /// A ledger's keys are not two keys of its own.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The server shows less than it signed before.
    #[error("the server shows {offered} entries; {held} were seen before")]
    Behind {
        /// Size seen before.
        held: u64,
        /// Size shown.
        offered: u64,
    },
    /// A number went back that never does.
    #[error("{what} is {found}; {held} was seen before")]
    RolledBack {
        /// Of what.
        what: String,
        /// The number seen before.
        held: u64,
        /// The number shown.
        found: u64,
    },
    /// Something on disk could not be captured.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A bundle that is, or was to be, stapled to an image.
    #[error(transparent)]
    Staple(#[from] StapleError),
    /// What was captured makes no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A signing key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The key of an environment's withheld values.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// A key would not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// Another release was recorded first.
    #[error("{} release(s) of {environment} were recorded first", between.len())]
    RaceLost {
        /// Where.
        environment: Environment,
        /// What came in between, oldest first.
        between: Vec<Logged>,
    },
    /// The environment does not stand where the caller expects it.
    #[error("{environment} stands at #{found}, not at #{expected}")]
    Expected {
        /// Where.
        environment: Environment,
        /// What was expected.
        expected: Sequence,
        /// Where it stands; 0: nowhere.
        found: Sequence,
    },
    /// The ledger has no such thing.
    #[error("{what} is not in the ledger")]
    NotFound {
        /// What.
        what: String,
    },
    /// Content does not hash to the digest that was recorded.
    #[error("the server's bytes of {what} do not hash to the recorded digest; evidence: {}", evidence.display())]
    ContentMismatch {
        /// Of what.
        what: String,
        /// The file that says so.
        evidence: PathBuf,
    },
    /// What was signed of a content is true of no bytes: its signer's fault, not the server's.
    #[error(
        "the digests and the size that {release} records of {what} contradict each other: the \
         server's bytes have that BLAKE3 and not the rest"
    )]
    Inconsistent {
        /// `env#12`.
        release: String,
        /// Of what.
        what: String,
    },
    /// Not a bundle.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Too few of the pinned auditors vouch for the map.
    #[error("{found} of the pinned auditors vouch for the map, {needed} must")]
    TooFewAuditors {
        /// How many do.
        found: usize,
        /// How many must.
        needed: usize,
    },
    /// Too few of the pinned witnesses cosigned the checkpoint.
    #[error("{found} of the pinned witnesses cosigned the checkpoint, {needed} must")]
    TooFewWitnesses {
        /// How many did.
        found: usize,
        /// How many the trust file, or the policy, asks for.
        needed: usize,
    },
    /// The log goes on, and the server has auditors cosign an old checkpoint for ever.
    #[error("the server has checkpoint {offered} cosigned still, though it shows {newest}")]
    OfferWithheld {
        /// What is on offer.
        offered: u64,
        /// What there is.
        newest: u64,
    },
    /// Not a policy that could ever be in force.
    #[error("not a policy: {0}")]
    Draft(JsonError),
    /// Not a proposal, or not one that fits.
    #[error("not a proposal: {why}")]
    Proposal {
        /// Why.
        why: String,
    },
    /// The ledger's rules, applied here before anything is sent, refuse it.
    #[error("it would be refused: {0}")]
    WouldBeRefused(RuleError),
    /// There is nothing to retire.
    #[error("{environment} has no standing release")]
    NothingStands {
        /// Where.
        environment: Environment,
    },
    /// Reading or writing a file that the user named.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

impl ClientError {
    /// The stable code; `None` where a server sent one that is not known here.
    pub fn reason(&self) -> Option<Reason> {
        Some(match self {
            Self::Home(error) => error.reason(),
            Self::Usage { .. } => Reason::Usage,
            Self::Unreachable { .. } => Reason::Unreachable,
            Self::Refused(refused) => return refused.reason,
            Self::Malformed(_) | Self::TooLarge { .. } => Reason::InvalidRequest,
            Self::Lacks { .. } => Reason::InclusionUnproven,
            Self::Erased(_) => Reason::ContentErased,
            Self::Checkpoint(error) => error.reason(),
            Self::Unproven { .. } => Reason::ConsistencyUnproven,
            Self::Forked { .. } => Reason::Forked,
            Self::Contradiction { error, .. } | Self::Verify(error) => error.reason(),
            Self::WrongGenesis { .. } => Reason::WrongGenesis,
            Self::Keys(error) => error.reason(),
            Self::Behind { .. } | Self::RolledBack { .. } => Reason::RolledBack,
            Self::Source(error) => error.reason(),
            Self::Staple(error) => error.reason(),
            Self::Manifest(error) => error.reason(),
            Self::Key(error) => error.reason(),
            Self::Secret(error) => error.reason(),
            Self::Sign(_) => Reason::SignerFailed,
            Self::RaceLost { .. } | Self::Expected { .. } => Reason::RaceLost,
            Self::NotFound { .. } => Reason::NotFound,
            Self::ContentMismatch { .. } | Self::Inconsistent { .. } => Reason::ContentMismatch,
            Self::Bundle(error) => error.reason(),
            Self::TooFewAuditors { .. } => Reason::TooFewAuditors,
            Self::TooFewWitnesses { .. } => Reason::TooFewWitnesses,
            Self::OfferWithheld { .. } => Reason::Stale,
            Self::Draft(error) => error.reason,
            Self::Proposal { .. } => Reason::ProposalSyntax,
            Self::WouldBeRefused(error) => error.reason(),
            Self::NothingStands { .. } => Reason::AlreadyRetired,
            Self::File { .. } => Reason::PathUnreadable,
        })
    }

    /// The stable code as text, a server's own included.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refused) if is_code(&refused.code) => &refused.code,
            other => other.reason().map_or("INTERNAL", Reason::code),
        }
    }

    /// Where the evidence lies, if there is any.
    pub fn evidence(&self) -> Option<&PathBuf> {
        match self {
            Self::Forked { evidence }
            | Self::Contradiction { evidence, .. }
            | Self::ContentMismatch { evidence, .. } => Some(evidence),
            _ => None,
        }
    }

    /// What this says of the ledger, where it says anything of it. A checkpoint of another
    /// origin is [`Verdict::Failed`]: nobody that we trust has said anything.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Forked { .. } | Self::Contradiction { .. } | Self::ContentMismatch { .. } => {
                Some(Verdict::Tampered)
            }
            Self::Verify(error) if error.is_untrusted() => Some(Verdict::Untrusted),
            Self::Checkpoint(error)
                if matches!(error.reason(), Reason::NoteSignature | Reason::KeySucceeded) =>
            {
                Some(Verdict::Untrusted)
            }
            Self::Behind { .. }
            | Self::RolledBack { .. }
            | Self::TooFewAuditors { .. }
            | Self::TooFewWitnesses { .. }
            | Self::OfferWithheld { .. } => Some(Verdict::Stale),
            Self::Verify(_)
            | Self::Checkpoint(_)
            | Self::Unproven { .. }
            | Self::Malformed(_)
            | Self::TooLarge { .. }
            | Self::Inconsistent { .. }
            | Self::Lacks { .. } => Some(Verdict::Failed),
            _ => None,
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        if let Some(verdict) = self.verdict() {
            return verdict.exit_code();
        }
        match self.reason() {
            Some(Reason::Usage | Reason::TrustMissing) => EXIT_USAGE,
            Some(Reason::Unreachable | Reason::Overloaded | Reason::ShuttingDown) => {
                EXIT_UNREACHABLE
            }
            // A server that names a signer denies the caller. What a client itself finds in
            // the log comes as `Verify` and is UNTRUSTED.
            Some(
                Reason::NotAuthenticated
                | Reason::NotAllowed
                | Reason::SourceDenied
                | Reason::UnknownSigner
                | Reason::SignerNotAllowed
                | Reason::TooFewApprovals
                | Reason::TooFewSignatures
                | Reason::BadSignature,
            ) => EXIT_DENIED,
            _ => Verdict::Failed.exit_code(),
        }
    }

    /// Whether whoever follows a ledger may go on and look again: no answer, an answer that proves
    /// nothing, or an offer that was replaced meanwhile.
    pub fn may_go_better(&self) -> bool {
        match self.reason() {
            Some(Reason::NeedsNewerCairn | Reason::WrongOrigin) => false,
            Some(
                Reason::Unreachable
                | Reason::Overloaded
                | Reason::ShuttingDown
                | Reason::NotOffered,
            ) => true,
            _ => self.verdict() == Some(Verdict::Failed),
        }
    }

    /// Whether the same call may succeed a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(refused) => matches!(
                refused.reason,
                Some(Reason::Overloaded | Reason::ShuttingDown)
            ),
            _ => false,
        }
    }
}

/// A server's code is shown only if it looks like one.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
