//! A trusted ledger over a connection: what every command starts from.
//!
//! Invariant: nothing leaves this module as a [`TrustedCheckpoint`] that was not linked to
//! what was held, and what was proven is remembered before it is returned.

mod cosigners;
mod link;
mod lookup;
mod prove;

use cairn_grpc::v1;
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, History, SignedCheckpoint, TrustedCheckpoint},
    hash::{NodeHash, Sequence},
    name::Environment,
    trust::Trust,
};

pub use cosigners::{Cosignature, Said, Vouched, Witnessed};
pub use lookup::Looked;
pub(crate) use lookup::{age_of, not_below_held};
pub(crate) use prove::{Case, policies};

use crate::{
    connect::{Connection, Endpoint},
    context::{Context, Contexts},
    error::{ClientError, HomeError},
    evidence::{EvidenceStore, ForkEvidence},
    held::{Held, HeldStore, HoldError, Kept, Seen},
    home::Home,
    read::ProvenBefore,
    trust,
};

/// Times that a link is tried again because another process moved the held checkpoint.
const LINKS_MAX: usize = 8;

/// A ledger that is trusted, and the server that is asked about it.
#[derive(Debug, Clone)]
pub struct Ledger {
    home: Home,
    trust: Trust,
    held: HeldStore,
    vouched: HeldStore,
    evidence: EvidenceStore,
    connection: Connection,
    orders: ProvenBefore,
    clock: fn() -> u64,
}

impl Ledger {
    /// The ledger of a context: of the one named, of `CAIRN_CONTEXT`, or of the active one.
    pub fn open(home: &Home, context: Option<&str>) -> Result<Self, ClientError> {
        let contexts = Contexts::load(home)?;
        let (_, context) = contexts.select(context)?;
        Self::of(home, context)
    }

    /// The ledger of a context that is to hand.
    pub fn of(home: &Home, context: &Context) -> Result<Self, ClientError> {
        let name = context.trust.parse().map_err(|_| HomeError::NoContext {
            name: context.trust.clone(),
        })?;
        let trust = trust::load(home, &name)?;
        let endpoint = Endpoint::of(home, context)?;
        Ok(Self::new(home, trust, Connection::open(&endpoint)?))
    }

    /// A ledger with a trust and a connection of the caller's.
    pub fn new(home: &Home, trust: Trust, connection: Connection) -> Self {
        Self {
            home: home.clone(),
            held: HeldStore::new(home, &trust),
            vouched: HeldStore::vouched(home, &trust),
            evidence: EvidenceStore::new(home, &trust),
            trust,
            connection,
            orders: ProvenBefore::default(),
            clock: crate::clock::now,
        }
    }

    /// The same, judged by another clock (Unix seconds).
    #[must_use]
    pub fn with_clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// What is pinned.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Where things are kept.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// What was seen before.
    pub fn held(&self) -> &HeldStore {
        &self.held
    }

    /// What was seen of it as auditors and witnesses vouch for it.
    pub(crate) fn vouched(&self) -> &HeldStore {
        &self.vouched
    }

    /// The orders as they were proven last.
    pub(crate) fn proven_orders(&self) -> &ProvenBefore {
        &self.orders
    }

    /// The server.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Unix seconds.
    pub(crate) fn now(&self) -> u64 {
        (self.clock)()
    }

    pub(crate) fn evidence(&self) -> &EvidenceStore {
        &self.evidence
    }

    /// The note to send along: it has the server link its answer, and shows it what it
    /// signed before.
    pub(crate) fn note_of(held: Option<&Held>) -> bytes::Bytes {
        held.map(|held| held.checkpoint().head().bytes().to_vec().into())
            .unwrap_or_default()
    }

    /// Steps 1 and 2: an authentic checkpoint, linked to what was held.
    pub(crate) async fn trusted(
        &self,
        held: Option<&Held>,
        note: &[u8],
        consistency: &[NodeHash],
    ) -> Result<TrustedCheckpoint, ClientError> {
        let offered = SignedCheckpoint::parse(note)?.authenticate(&self.trust, self.now())?;
        match held {
            None => Ok(offered.trust_first()),
            Some(held) => self.link(held.checkpoint(), offered, consistency).await,
        }
    }

    /// The same for an answer whose server was not told what is held: asks for the link.
    pub(crate) async fn trusted_unasked(
        &self,
        held: Option<&Held>,
        note: &[u8],
    ) -> Result<TrustedCheckpoint, ClientError> {
        let Some(held) = held else {
            return self.trusted(None, note, &[]).await;
        };
        let offered = SignedCheckpoint::parse(note)?.claimed_size().0;
        let proof = self
            .consistency(held.checkpoint().head().size().0, offered)
            .await?;
        self.trusted(Some(held), note, &proof).await
    }

    /// Asks for the proof between two sizes; none where there is nothing to prove.
    async fn consistency(&self, one: u64, other: u64) -> Result<Vec<NodeHash>, ClientError> {
        let (from, to) = (one.min(other), one.max(other));
        if from == to || from == 0 {
            return Ok(Vec::new());
        }
        let request = v1::GetConsistencyProofRequest { from, to };
        match self.connection.get_consistency_proof(request).await {
            Ok(answer) => Ok(cairn_grpc::hashes(&answer.hashes, "hashes")?),
            // A server that cannot prove it is no better than one that proves it wrongly:
            // the link is tried without.
            Err(ClientError::Refused(_)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// The same for an answer as of a cosigned checkpoint, of which `held` is what was seen. It
    /// must hang together with the newest checkpoint that was seen as well, which may be the
    /// larger one; and the first cosigned one must not be below that, so that to pin somebody is
    /// no way back to before.
    pub(crate) async fn trusted_vouched(
        &self,
        held: Option<&Held>,
        note: &[u8],
        consistency: &[NodeHash],
    ) -> Result<TrustedCheckpoint, ClientError> {
        let newest = self.held.load()?;
        let linked = self.trusted_unasked(newest.as_ref(), note).await?;
        match held {
            Some(_) => self.trusted(held, note, consistency).await,
            None => Ok(linked),
        }
    }

    /// Remembers what was proven. Where another process remembered something else
    /// meanwhile, the two are linked first.
    pub(crate) async fn remember(
        &self,
        held: Option<&Held>,
        checkpoint: &TrustedCheckpoint,
        environment: Option<(&Environment, Sequence)>,
        policy_version: u64,
    ) -> Result<Held, ClientError> {
        self.remember_in(&self.held, held, checkpoint, environment, policy_version)
            .await
    }

    pub(crate) async fn remember_in(
        &self,
        store: &HeldStore,
        held: Option<&Held>,
        checkpoint: &TrustedCheckpoint,
        environment: Option<(&Environment, Sequence)>,
        policy_version: u64,
    ) -> Result<Held, ClientError> {
        let mut base = held.map(|held| held.checkpoint().clone());
        let mut checkpoint = checkpoint.clone();
        for _ in 0..LINKS_MAX {
            let seen = Seen {
                base: base.as_ref(),
                floor: held,
                checkpoint: &checkpoint,
                environment,
                policy_version,
                now: self.now(),
            };
            let moved = match store.keep(&seen) {
                Ok(Kept::Now(held)) => return Ok(*held),
                Ok(Kept::Moved(held)) => held,
                Err(HoldError::Home(error)) => return Err(error.into()),
                Err(HoldError::Advance(error)) => return Err(self.advance_error(error, &[])?),
            };
            let offered = checkpoint.head().clone();
            let other = moved.checkpoint().head().size().0;
            let proof = self.consistency(other, offered.size().0).await?;
            checkpoint = self.link(moved.checkpoint(), offered, &proof).await?;
            base = Some(moved.checkpoint().clone());
        }
        Err(HomeError::Locked {
            path: self.home.held_file(self.trust.genesis()),
        }
        .into())
    }

    /// Refuses what former keys signed: it says nothing of what is current.
    pub(crate) fn not_overtaken(checkpoint: &AuthenticCheckpoint) -> Result<(), ClientError> {
        match checkpoint.overtaken() {
            None => Ok(()),
            Some(after) => Err(ClientError::Behind {
                held: after.0.saturating_add(1),
                offered: checkpoint.size().0,
            }),
        }
    }

    /// Refuses to call anything current that is older than what was seen.
    pub(crate) fn current(checkpoint: &TrustedCheckpoint) -> Result<(), ClientError> {
        Self::not_overtaken(checkpoint.head())?;
        match checkpoint.history() {
            History::Behind { held } => Err(ClientError::Behind {
                held: held.0,
                offered: checkpoint.head().size().0,
            }),
            _ => Ok(()),
        }
    }

    /// What an advance that failed amounts to; a fork is kept as evidence first.
    pub(crate) fn advance_error(
        &self,
        error: cairn_proto::checkpoint::AdvanceError,
        proof: &[NodeHash],
    ) -> Result<ClientError, ClientError> {
        use cairn_proto::checkpoint::AdvanceError;
        match error {
            AdvanceError::Forked(fork) => {
                let evidence = ForkEvidence { fork: &fork, proof };
                let path = self.evidence.fork(&evidence, self.now())?;
                Ok(ClientError::Forked { evidence: path })
            }
            AdvanceError::Unproven { held, offered } => Ok(ClientError::Unproven {
                held: held.0,
                offered: offered.0,
            }),
            _ => Ok(ClientError::Unproven {
                held: 0,
                offered: 0,
            }),
        }
    }
}
