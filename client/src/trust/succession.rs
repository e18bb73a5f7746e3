//! Following a ledger whose keys others took over from: what an order of the admins proves is
//! pinned beside what a person pinned.
//!
//! Invariant: a trust file gains keys only by [`cairn_proto::verify::succession`], and only where
//! nothing that was seen before contradicts them.

use cairn_grpc::{OrdersAnswer, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    name::Label,
    trust::{Era, Trust},
    verify,
};

use crate::{
    connect::Connection,
    error::{ClientError, HomeError},
    held::HeldStore,
    home::Home,
    ledger::Ledger,
    policies::anywhere,
};

/// The keys that took over, as the admins' orders prove it; what is pinned stays as it is. `now`:
/// Unix seconds.
pub async fn succeeded(
    connection: &Connection,
    trust: &Trust,
    now: u64,
) -> Result<Trust, ClientError> {
    let request = v1::GetOrdersRequest {
        successions: true,
        ..v1::GetOrdersRequest::default()
    };
    let answer = OrdersAnswer::try_from(connection.get_orders(request).await?)?;
    let (note, evidence) = (&answer.checkpoint, &answer.evidence);
    verify::succession(trust, note, evidence, now).map_err(ClientError::Verify)
}

/// Pins the keys that took over from those that are pinned under a name, and returns them, if an
/// order proves that others did.
pub async fn follow(home: &Home, name: &Label, ledger: &Ledger) -> Result<Vec<Era>, ClientError> {
    let known = ledger.trust();
    let trust = succeeded(ledger.connection(), known, ledger.now()).await?;
    nothing_seen_contradicts(home, known, &trust)?;
    let before = known.later_keys().len();
    let newer = || trust.later_keys().iter().skip(before).cloned().collect();
    // The new log must extend what was seen, before its keys are believed in anything.
    let followed = Ledger::new(home, trust.clone(), ledger.connection().clone());
    let (held, linked, _) = followed.newest().await?;
    // Admins of a policy that was replaced since could order this of an old copy of the log. Whoever pins
    // witnesses or auditors asks them first which log it is.
    if trust.needs_cosigners() {
        let looked = followed.lookup_pinned(&anywhere()?).await?;
        if let Some(few) = looked.too_few() {
            return Err(few);
        }
        Ledger::current(&looked.checkpoint)?;
    }
    followed.remember(held.as_ref(), &linked, None, 0).await?;
    super::add_later_keys(home, name, &trust)?;
    Ok(newer())
}

/// What the keys before signed above the size at which others took over, nobody was to sign.
pub(crate) fn nothing_seen_contradicts(
    home: &Home,
    known: &Trust,
    next: &Trust,
) -> Result<(), ClientError> {
    let stores = |trust| [HeldStore::new(home, trust), HeldStore::vouched(home, trust)];
    for (store, before) in stores(next).into_iter().zip(stores(known)) {
        let Err(HomeError::OtherKeys { .. }) = store.load() else {
            continue;
        };
        let Some(held) = before.load()? else { continue };
        let note = SignedCheckpoint::parse(held.checkpoint().head().bytes())?;
        note.authenticate(&next.clone().alone(), u64::MAX)?;
    }
    Ok(())
}
