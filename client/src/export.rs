//! Exporting a bundle: everything that a verifier without a network needs.
//!
//! Invariant: a bundle is handed out only after its own bytes were verified again, as the
//! one who receives them will.

use cairn_proto::{
    bundle::Bundle,
    checkpoint::SignedCheckpoint,
    name::Environment,
    verify::{self, Current},
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
    /// Bundles a release. Only a current one: a bundle proves that what it holds is current
    /// as of its checkpoint.
    pub async fn export(&self, reference: &Reference) -> Result<Exported, ClientError> {
        let environment = reference.environment().ok_or_else(|| ClientError::Usage {
            why: "name a release as ENV; a digest cannot be bundled".to_owned(),
        })?;
        let looked = self.lookup_pinned(environment).await?;
        Self::current(&looked.checkpoint)?;
        not_below_held(looked.held.as_ref(), environment, &looked)?;
        let approved = match &looked.current {
            Current::Release(approved) => approved,
            Current::Compromised(compromised) => {
                return Err(ClientError::Verify(compromised.why().clone().into()));
            }
            Current::Absent { .. } => {
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
        let proven = verify::current(self.trust(), &checkpoint, environment, &again.evidence)
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
