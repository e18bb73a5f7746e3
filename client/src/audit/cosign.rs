//! Auditors that vouch for the map: they recompute the checkpoint on offer, and cosign it.
//!
//! Invariant: a cosignature is made only for a note whose very tree was just replayed here
//! without an alarm, linked to everything this auditor saw, and never for a smaller size after a
//! larger one (an older offer is `Behind`); nor for the same one for ever while the log goes on.

use std::time::{Duration, Instant};

use cairn_grpc::v1;
use cairn_proto::{checkpoint::SignedCheckpoint, key::Signer, note::cosign_line};

use super::{Audit, Report, audit_note};
use crate::{error::ClientError, ledger::Ledger};

/// Who cosigns.
pub struct Cosigner<'a> {
    /// The auditor's name, as its verifier key has it.
    pub name: &'a str,
    /// Its key.
    pub key: &'a dyn Signer,
    audited: Option<Audited>,
}

/// The offer that was last audited without an alarm, in this process.
struct Audited {
    text: String,
    /// Since when the log was seen to have gone on without it.
    behind: Option<Instant>,
}

/// How long an offer may stand while the log goes on: more than the server gives auditors.
const OFFER: Duration = Duration::from_mins(20);

impl<'a> Cosigner<'a> {
    /// An auditor of this name, with this key.
    pub fn new(name: &'a str, key: &'a dyn Signer) -> Self {
        Self {
            name,
            key,
            audited: None,
        }
    }
}

/// What came of a round.
#[derive(Debug)]
pub struct Round {
    /// What the audit found; `None` where the offer is what was audited last.
    pub report: Option<Report>,
    /// How many cosignatures the offer has now; `None` where none was made.
    pub cosignatures: Option<u32>,
}

impl Cosigner<'_> {
    /// Audits the checkpoint on offer, unless that was done last, and cosigns it if nothing is
    /// wrong.
    pub async fn round(&mut self, ledger: &Ledger, job: &Audit<'_>) -> Result<Round, ClientError> {
        let offer = ledger
            .connection()
            .get_offer(v1::GetOfferRequest {})
            .await?;
        let note = SignedCheckpoint::parse(&offer.checkpoint)?;
        let mut report = None;
        let known = self.audited.as_mut();
        if let Some(known) = known.filter(|known| known.text == note.text()) {
            still_due(job, known, note.claimed_size().0).await?;
        } else {
            self.audited = None;
            let found = audit_note(job, &offer.checkpoint).await?;
            let sound = found.alarms.is_empty() && found.history.is_some();
            report = Some(found);
            if !sound {
                return Ok(Round {
                    report,
                    cosignatures: None,
                });
            }
            self.audited = Some(Audited {
                text: note.text().to_owned(),
                behind: None,
            });
        }
        let line = cosign_line(self.name, note.text(), job.now, self.key)?;
        let request = v1::AddCosignatureRequest {
            checkpoint: offer.checkpoint,
            line: line.into_bytes().into(),
        };
        let answer = ledger.connection().add_cosignature(request).await?;
        Ok(Round {
            report,
            cosignatures: Some(answer.cosignatures),
        })
    }
}

/// An old checkpoint is not vouched for again and again while the log goes on: to whoever trusts
/// auditors it would stay young.
async fn still_due(job: &Audit<'_>, known: &mut Audited, offered: u64) -> Result<(), ClientError> {
    let newest = job.source.checkpoint().await?;
    let newest = SignedCheckpoint::parse(&newest)?.authenticate(job.trust, job.now)?;
    if newest.size().0 <= offered {
        known.behind = None;
        return Ok(());
    }
    let since = *known.behind.get_or_insert_with(Instant::now);
    if since.elapsed() < OFFER {
        return Ok(());
    }
    Err(ClientError::OfferWithheld {
        offered,
        newest: newest.size().0,
    })
}
