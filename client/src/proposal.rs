//! A statement on its way to enough signatures: a file that is handed from signer to signer, or
//! an envelope that waits with a server (`waiting`).
//!
//! Invariant: what is in either is a statement in its one spelling with its very document.
//! Whether the signatures verify, and whoever signed may, is judged by the ledger's rules
//! ([`Proposal::standing`]), here before sending and by the server again.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    entry::{Entry, Leaf, Submission},
    envelope::{Envelope, EnvelopeSignature},
    hash::KeyId,
    key::{SignError, Signer},
    limits::SIGNATURES_MAX,
    rules::{PolicyChain, RuleError, SignedSubmission},
    statement::{Statement, Subject},
};
use serde::{Deserialize, Serialize};

use crate::{error::ClientError, waiting::ProposalId};

const SCHEMA: &str = "cairn.proposal/v1";

/// A statement, its document, and the signatures so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    payload: Vec<u8>,
    statement: Statement,
    document: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ProposalFile {
    schema: String,
    payload: String,
    document: String,
    signatures: Vec<SignatureFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    keyid: String,
    sig: String,
}

/// How far a proposal has come.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It may be submitted.
    Ready(Box<SignedSubmission>),
    /// More must sign: what is missing, in words.
    Short(RuleError),
    /// Nobody signed yet.
    Unsigned,
}

impl Standing {
    /// What may be submitted; else why it may not be yet.
    pub(crate) fn ready(self) -> Result<Box<SignedSubmission>, ClientError> {
        match self {
            Self::Ready(signed) => Ok(signed),
            Self::Short(rule) => Err(ClientError::WouldBeRefused(rule)),
            Self::Unsigned => Err(unsigned()),
        }
    }
}

impl Proposal {
    /// A statement that nobody signed yet.
    pub fn new(statement: Statement, document: Vec<u8>) -> Result<Self, ClientError> {
        let payload = statement.encode();
        // What we would refuse to read we do not propose.
        Statement::parse(&payload).map_err(|error| ClientError::Usage {
            why: format!("this cannot be recorded: {error}"),
        })?;
        if statement.subject != Subject::of(&document) {
            return Err(wrong(
                "the document is not the one that the statement names",
            ));
        }
        Ok(Self {
            payload,
            statement,
            document,
            signatures: Vec::new(),
        })
    }

    /// Reads a file.
    pub fn decode(bytes: &[u8]) -> Result<Self, ClientError> {
        let file: ProposalFile =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(wrong(format!("its schema is not {SCHEMA}")));
        }
        let payload = base64(&file.payload)?;
        let statement = Statement::parse(&payload).map_err(|error| wrong(error.to_string()))?;
        let mut proposal = Self::new(statement, base64(&file.document)?)?;
        if proposal.payload != payload {
            return Err(wrong("its statement is not in its one spelling"));
        }
        for signature in file.signatures {
            let mut keyid = [0; 32];
            hex::decode_to_slice(&signature.keyid, &mut keyid)
                .map_err(|_| wrong("a keyid is not hex"))?;
            let bytes = base64(&signature.sig)?.try_into();
            proposal.add(EnvelopeSignature {
                keyid: KeyId(keyid),
                signature: bytes.map_err(|_| wrong("a signature is not 64 bytes"))?,
            })?;
        }
        Ok(proposal)
    }

    /// Reads an envelope and its document, wherever they waited.
    pub fn of_envelope(envelope: &[u8], document: Vec<u8>) -> Result<Self, ClientError> {
        let envelope = Envelope::parse(envelope).map_err(|error| wrong(error.to_string()))?;
        let statement = Statement::parse(envelope.payload());
        let statement = statement.map_err(|error| wrong(error.to_string()))?;
        let mut proposal = Self::new(statement, document)?;
        if proposal.payload != envelope.payload() {
            return Err(wrong("its statement is not in its one spelling"));
        }
        for signature in envelope.signatures() {
            proposal.add(signature.clone())?;
        }
        Ok(proposal)
    }

    /// What it is called where it waits: the hash of what is signed.
    pub fn id(&self) -> ProposalId {
        ProposalId::of(&self.payload)
    }

    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|signature| SignatureFile {
            keyid: signature.keyid.to_string(),
            sig: STANDARD.encode(signature.signature),
        });
        let file = ProposalFile {
            schema: SCHEMA.to_owned(),
            payload: STANDARD.encode(&self.payload),
            document: STANDARD.encode(&self.document),
            signatures: signatures.collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&file).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What is proposed.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The document that it names.
    pub fn document(&self) -> &[u8] {
        &self.document
    }

    /// Whose signatures it carries, in the order in which they came.
    pub fn keyids(&self) -> impl Iterator<Item = &KeyId> {
        self.signatures.iter().map(|signature| &signature.keyid)
    }

    /// Signs; whoever signed already signs no second time.
    pub fn sign(&mut self, signers: &[&dyn Signer]) -> Result<(), ClientError> {
        let own: Vec<_> = signers
            .iter()
            .filter(|signer| !self.carries(&signer.public_key().id()))
            .copied()
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        let signed = Envelope::sign(self.payload.clone(), &own)?;
        for signature in signed.signatures() {
            self.add(signature.clone())?;
        }
        Ok(())
    }

    /// Takes over the signatures of another copy of the same proposal.
    pub fn merge(&mut self, other: Self) -> Result<(), ClientError> {
        if (&self.payload, &self.document) != (&other.payload, &other.document) {
            return Err(wrong("the files are not of the same proposal"));
        }
        for signature in other.signatures {
            if !self.carries(&signature.keyid) {
                self.add(signature)?;
            }
        }
        Ok(())
    }

    fn carries(&self, keyid: &KeyId) -> bool {
        self.keyids().any(|known| known == keyid)
    }

    fn add(&mut self, signature: EnvelopeSignature) -> Result<(), ClientError> {
        if self.carries(&signature.keyid) {
            return Err(wrong("a key signed twice"));
        }
        if self.signatures.len() >= SIGNATURES_MAX {
            return Err(wrong("there are more signatures than an entry may carry"));
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// The entry as it would be sent.
    pub fn entry(&self) -> Result<Vec<u8>, ClientError> {
        if self.signatures.is_empty() {
            return Err(unsigned());
        }
        let envelope = Envelope::join(self.payload.clone(), self.signatures.clone());
        Ok(envelope
            .map_err(|error| SignError(error.to_string()))?
            .encode())
    }

    /// Judged by the newest policy: what the server will say, as far as it depends on who
    /// signed.
    pub fn standing(&self, chain: &PolicyChain) -> Result<Standing, ClientError> {
        if self.signatures.is_empty() {
            return Ok(Standing::Unsigned);
        }
        let submission = submission(&self.entry()?, &self.document)?;
        match chain.authority().authenticate(submission) {
            Ok(signed) => Ok(Standing::Ready(Box::new(signed))),
            Err(
                short @ (RuleError::TooFewApprovals { .. } | RuleError::TooFewSignatures { .. }),
            ) => Ok(Standing::Short(short)),
            Err(error) => Err(ClientError::WouldBeRefused(error)),
        }
    }
}

fn submission(entry: &[u8], document: &[u8]) -> Result<Submission, ClientError> {
    let refused = |error: cairn_proto::entry::EntryError| ClientError::WouldBeRefused(error.into());
    match Leaf::decode(entry).map_err(refused)? {
        Leaf::Entry(entry) => Entry::with_document(*entry, document).map_err(refused),
        Leaf::MapRecord(_) => Err(wrong("it is a map record")),
    }
}

fn unsigned() -> ClientError {
    wrong("nobody signed it yet")
}

fn wrong(why: impl Into<String>) -> ClientError {
    ClientError::Proposal { why: why.into() }
}

fn base64(text: &str) -> Result<Vec<u8>, ClientError> {
    STANDARD
        .decode(text)
        .map_err(|_| wrong("a value is not base64"))
}
