//! Proposals that wait with the server instead of in a file.
//!
//! Invariant: the server is believed in nothing. What comes from it is a [`Proposal`], read as from
//! a file and judged by the same rules, and it is the one that was asked for: its id is the hash of
//! what is signed. A server can keep a proposal back, and it sees it. It can do no more.

use std::{fmt, str::FromStr};

use cairn_grpc::v1;
use cairn_proto::{
    envelope::Envelope,
    hash::{KeyId, Sha256},
    json::JsonError,
    limits::{ENTRY_BYTES_MAX, MANIFEST_BYTES_MAX},
    name::Environment,
    reason::Reason,
    statement::Statement,
};

use crate::{error::ClientError, ledger::Ledger, proposal::Proposal};

/// Digits by which people call a proposal: enough for no two to be taken for each other by chance.
const SHORT_DIGITS: usize = 12;
/// Digits that name one, at least.
const DIGITS_MIN: usize = 8;
/// Proposals and pages that are read of a list: more than any server keeps.
const LISTED_MAX: usize = 4_096;
const PAGES_MAX: usize = 256;

/// A proposal's name: the SHA-256 of what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProposalId(Sha256);

impl ProposalId {
    pub(crate) fn of(payload: &[u8]) -> Self {
        Self(Sha256::of(payload))
    }

    /// How people call it.
    pub fn short(&self) -> String {
        self.to_string().chars().take(SHORT_DIGITS).collect()
    }
}

impl fmt::Display for ProposalId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What a proposal's id begins with, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposalRef(String);

impl ProposalRef {
    /// Whether it is all of an id, which no two have.
    pub fn is_whole(&self) -> bool {
        self.0.len() == 64
    }

    fn names(&self, id: &ProposalId) -> bool {
        id.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for ProposalRef {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl FromStr for ProposalRef {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if (DIGITS_MIN..=64).contains(&text.len()) && text.bytes().all(is_hex) {
            return Ok(Self(text.to_owned()));
        }
        let why = "a proposal's id is 8 to 64 digits in lower-case hex".to_owned();
        Err(ClientError::Usage { why })
    }
}

/// A proposal as it waits.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// With all signatures so far.
    pub proposal: Proposal,
    /// Until when the server says that it keeps it; Unix seconds.
    pub expires: u64,
}

/// What a server says of a proposal that waits. Nothing of it is verified, and its document is not
/// there: whoever wants to sign asks for the proposal.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Its id.
    pub id: ProposalId,
    /// What is proposed; why it cannot be read, if it cannot.
    pub statement: Result<Statement, JsonError>,
    /// Whose signatures it is said to carry.
    pub keyids: Vec<KeyId>,
    /// Until when it waits; Unix seconds.
    pub expires: u64,
}

impl Ledger {
    /// Leaves a proposal with the server, or adds its signatures to the one that waits there; as it
    /// waits then.
    pub async fn leave(&self, proposal: &Proposal) -> Result<Waiting, ClientError> {
        let request = v1::PutProposalRequest {
            envelope: proposal.entry()?.into(),
            document: proposal.document().to_vec().into(),
        };
        let answer = self.connection().put_proposal(request).await;
        let waits = answer.map_err(kept_nowhere)?.proposal;
        let waits = waits.ok_or_else(|| wrong("the server did not say what it keeps"))?;
        let waiting = Waiting {
            proposal: Proposal::of_envelope(&waits.envelope, proposal.document().to_vec())?,
            expires: waits.expires,
        };
        if waiting.proposal.id() != proposal.id() {
            return Err(wrong("the server keeps another proposal than was left"));
        }
        Ok(waiting)
    }

    /// A proposal that waits with the server.
    pub async fn waiting(&self, which: &ProposalRef) -> Result<Waiting, ClientError> {
        let request = v1::GetProposalRequest {
            id: which.to_string(),
        };
        let answer = self.connection().get_proposal(request).await;
        let answer = answer.map_err(kept_nowhere)?;
        let waits = answer.proposal;
        let waits = waits.ok_or_else(|| wrong("the server gave none"))?;
        let too_large = |bytes: usize, max: usize| bytes > max;
        if too_large(waits.envelope.len(), ENTRY_BYTES_MAX)
            || too_large(answer.document.len(), MANIFEST_BYTES_MAX)
        {
            return Err(ClientError::TooLarge { what: "a proposal" });
        }
        let waiting = Waiting {
            proposal: Proposal::of_envelope(&waits.envelope, answer.document.into())?,
            expires: waits.expires,
        };
        if !which.names(&waiting.proposal.id()) {
            return Err(wrong("the server gave another proposal than was asked for"));
        }
        Ok(waiting)
    }

    /// What waits with the server for an environment, or at all; what expires first comes first.
    pub async fn pending(
        &self,
        environment: Option<&Environment>,
    ) -> Result<Vec<Pending>, ClientError> {
        let mut found = Vec::new();
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            let request = v1::ListProposalsRequest {
                environment: environment.map(ToString::to_string).unwrap_or_default(),
                page_size: 0,
                page_token: token,
            };
            let answer = self.connection().list_proposals(request).await;
            let answer = answer.map_err(kept_nowhere)?;
            for waits in &answer.proposals {
                found.push(pending(waits)?);
            }
            token = answer.next_page_token;
            if token.is_empty() {
                found.sort_by_key(|it: &Pending| (it.expires, it.id));
                return Ok(found);
            }
            if found.len() > LISTED_MAX {
                break;
            }
        }
        let what = "a list of proposals";
        Err(ClientError::TooLarge { what })
    }

    /// Has the server forget a proposal that the same token left there.
    pub async fn withdraw(&self, which: &ProposalRef) -> Result<(), ClientError> {
        let request = v1::WithdrawProposalRequest {
            id: which.to_string(),
        };
        let answer = self.connection().withdraw_proposal(request).await;
        answer.map(|_| ()).map_err(kept_nowhere)
    }
}

fn pending(waits: &v1::WaitingProposal) -> Result<Pending, ClientError> {
    let envelope = Envelope::parse(&waits.envelope);
    let envelope = envelope.map_err(|error| wrong(&error.to_string()))?;
    let signatures = envelope.signatures().iter();
    Ok(Pending {
        id: ProposalId::of(envelope.payload()),
        keyids: signatures.map(|signature| signature.keyid).collect(),
        statement: Statement::parse(envelope.payload()),
        expires: waits.expires,
    })
}

/// A server that knows nothing of proposals says so in many ways.
fn kept_nowhere(error: ClientError) -> ClientError {
    match error {
        ClientError::Refused(refused) if refused.code.is_empty() && refused.reason.is_none() => {
            ClientError::Usage {
                why: "this server keeps no proposals: hand a file on instead (-o FILE)".to_owned(),
            }
        }
        ClientError::Refused(mut refused) if refused.reason == Some(Reason::NotFound) => {
            refused.message.push_str(
                "; `pending` lists what waits, `cairn log` and `cairn policy history` what was \
                 recorded",
            );
            ClientError::Refused(refused)
        }
        other => other,
    }
}

fn wrong(why: &str) -> ClientError {
    ClientError::Proposal {
        why: why.to_owned(),
    }
}
