//! Exporting a bundle: everything that a verifier without a network needs.
//!
//! Invariant: a bundle is handed out only after its own bytes were verified again, as the
//! one who receives them will.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_grpc::v1;
use cairn_proto::{
    bundle::Bundle,
    checkpoint::SignedCheckpoint,
    hash::{Index, NodeHash},
    name::Environment,
    verify::{self, Current, Recorded},
};

use crate::{
    error::ClientError,
    ledger::{Ledger, not_below_held},
    read::Reference,
};

/// A bundle's bytes, and what they prove.
#[derive(Debug, Clone)]
pub struct Exported {
    /// The file.
    pub bytes: Vec<u8>,
    /// Whose release.
    pub environment: Environment,
    /// `env#12`.
    pub release: String,
    /// Size of the checkpoint.
    pub size: u64,
}

impl Ledger {
    /// A bare C2SP tlog-proof of a release's entry, an older one's too: that it is in the log, for
    /// any tool that knows the format. Its `extra` line is the entry itself.
    pub async fn tlog_proof(&self, reference: &Reference) -> Result<Exported, ClientError> {
        let proven = self.resolve(reference).await?;
        let seen = self.held().load()?;
        let request = v1::GetEntryRequest {
            index: proven.index.0,
            size: 0,
        };
        let answer = self.connection().get_entry(request).await?;
        let checkpoint = self
            .trusted_unasked(seen.as_ref(), &answer.checkpoint)
            .await?;
        let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
        let head = checkpoint.head();
        let recorded = Recorded::prove(head, &answer.entry, proven.index, &inclusion)
            .map_err(ClientError::Verify)?;
        if *recorded.leaf() != proven.leaf {
            return Err(ClientError::Lacks {
                what: format!("entry {}", proven.index),
            });
        }
        Self::current(&checkpoint)?;
        self.remember(seen.as_ref(), &checkpoint, None, 0).await?;
        let release = &proven.release;
        Ok(Exported {
            bytes: tlog_proof(&answer.entry, proven.index, &inclusion, head.bytes()),
            environment: release.environment.clone(),
            release: format!("{}#{}", release.environment, release.sequence),
            size: head.size().0,
        })
    }

    /// Bundles a release. Only a current one: a bundle proves that what it holds is current
    /// as of its checkpoint.
    pub async fn export(&self, reference: &Reference) -> Result<Exported, ClientError> {
        let environment = reference.environment().ok_or_else(|| ClientError::Usage {
            why: "name a release as ENV; a digest cannot be bundled".to_owned(),
        })?;
        let looked = self.lookup_pinned(environment).await?;
        Self::current(&looked.checkpoint)?;
        not_below_held(looked.held.as_ref(), environment, &looked)?;
        if let Some(error) = looked.too_few() {
            return Err(error);
        }
        let approved = match &looked.current {
            Current::Release(approved) => approved,
            Current::Compromised(compromised) => {
                return Err(ClientError::Verify(compromised.why().clone().into()));
            }
            Current::Absent(_) => {
                return Err(ClientError::NotFound {
                    what: environment.to_string(),
                });
            }
        };
        let current = approved.release().sequence;
        if !matches!(reference, Reference::Current(_)) {
            let wanted = self.resolve(reference).await?.release.sequence;
            if wanted != current {
                return Err(ClientError::Usage {
                    why: format!(
                        "{environment}#{wanted} is not current; a bundle proves currency, so \
                         only {environment}#{current} can be bundled now"
                    ),
                });
            }
        }
        let bundle = Bundle {
            environment: environment.clone(),
            checkpoint: looked.checkpoint.head().bytes().to_vec(),
            evidence: looked.evidence.clone(),
        };
        let bytes = bundle.encode().ok_or_else(|| ClientError::Lacks {
            what: "the release".to_owned(),
        })?;
        let again = Bundle::decode(&bytes)?;
        let checkpoint = SignedCheckpoint::parse(&again.checkpoint)?
            .authenticate(self.trust(), self.now())?
            .trust_first();
        let evidence = &again.evidence;
        let proven = verify::current(self.trust(), &checkpoint, environment, evidence, self.now())
            .map_err(ClientError::Verify)?;
        if proven != looked.current {
            return Err(ClientError::Lacks {
                what: "the release that was looked up".to_owned(),
            });
        }
        Ok(Exported {
            bytes,
            environment: environment.clone(),
            release: format!("{environment}#{current}"),
            size: checkpoint.head().size().0,
        })
    }
}

/// C2SP tlog-proof: extra data, index, hashes from the leaf up, an empty line, the note.
fn tlog_proof(entry: &[u8], index: Index, inclusion: &[NodeHash], note: &[u8]) -> Vec<u8> {
    let mut lines = vec![
        "c2sp.org/tlog-proof@v1".to_owned(),
        format!("extra {}", STANDARD.encode(entry)),
        format!("index {index}"),
    ];
    lines.extend(
        inclusion
            .iter()
            .map(|hash| STANDARD.encode(hash.as_bytes())),
    );
    let mut bytes = (lines.join("\n") + "\n\n").into_bytes();
    bytes.extend_from_slice(note);
    bytes
}
