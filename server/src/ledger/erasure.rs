//! Carrying out the admins' orders to erase contents.
//!
//! ```text
//! sequencer's thread   record durable ─▶ bar ─▶ anchor ─▶ head published
//! a thread of its own  overwrite and sync ─▶ mark ─▶ whoever sent the order is answered
//! ```
//!
//! Crash reasoning. Once the record is durable, every start finds the order, so what a crash left
//! of a content is overwritten before anything is served; an order that is not durable has
//! overwritten nothing. No frame of a barred content is written any more. So an anchor that covers
//! the order covers all of them, and a start looks at their headers alone; with an older one, or
//! none, a start reads the order itself before the packs, and spares what it names. Zeros, or half of
//! them, are never a torn end that is cut with what follows it, nor damage. Zeros that a start sees
//! may be in the page cache alone, after a sync that failed: only of orders up to the one that the
//! mark names they count.
//! Out of scope: which orders are allowed (`proto/src/rules`), where bytes lie (`content`).

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use cairn_proto::{
    hash::{ContentId, Index, LeafHash},
    order::OrderDocument,
    rules::PolicyChain,
};

use super::{Failure, Ledger, Refusal, Shared};
use crate::{
    content::ContentStore as _,
    segment::StoreError,
    store::{Carried, Store},
};

/// One order, and what it erases.
#[derive(Debug)]
pub(super) struct Erasure {
    index: Index,
    order: Carried,
    contents: Vec<ContentId>,
}

impl Erasure {
    fn barred(&self) -> impl Iterator<Item = (ContentId, Index)> {
        self.contents.iter().map(|id| (*id, self.index))
    }
}

/// The erasures that a chain orders from an index on.
pub(super) fn ordered(chain: &PolicyChain, from: Index) -> Vec<Erasure> {
    let mut erasures = Vec::new();
    for (step, number) in chain.orders().iter().zip(1..) {
        if let OrderDocument::Redaction(redaction) = &step.order
            && step.index >= from
        {
            let leaf: LeafHash = step.leaf;
            erasures.push(Erasure {
                index: step.index,
                order: Carried { number, leaf },
                contents: redaction.contents.clone(),
            });
        }
    }
    erasures
}

/// Bars what was ordered to be erased; before the anchor covers the order.
pub(super) fn bar(store: &Store, erasures: &[Erasure]) {
    if !erasures.is_empty() {
        let barred: Vec<_> = erasures.iter().flat_map(Erasure::barred).collect();
        store.content().bar(&barred);
    }
}

/// Finishes, before anything is served, what an earlier process did not come to, and erases again
/// what came back: an older copy of a file, or a name that a crash brought back.
pub(super) fn finish(store: &Store, chain: &PolicyChain) -> Result<(), StoreError> {
    let erasures = ordered(chain, Index(0));
    let Some(last) = erasures.last() else {
        return Ok(());
    };
    bar(store, &erasures);
    let content = store.content();
    let done = store.erased().read()?.filter(|done| {
        let mut orders = chain.orders().iter().zip(1..);
        orders.any(|(step, number)| number == done.number && step.leaf == done.leaf)
    });
    let done = done.map_or(0, |done| done.number);
    let mut due = Vec::new();
    for erasure in &erasures {
        for id in &erasure.contents {
            if erasure.order.number > done || content.remains(id)? {
                due.push(*id);
            }
        }
    }
    if !due.is_empty() {
        content.erase(&due)?;
    }
    if done < last.order.number {
        store.erased().write(last.order)?;
    }
    Ok(())
}

/// The thread that overwrites: large contents take their time, and nobody else waits for it.
#[derive(Debug)]
pub(super) struct Eraser {
    orders: mpsc::Sender<Erasure>,
    thread: JoinHandle<()>,
}

impl Eraser {
    pub(super) fn start(shared: &Arc<Shared>) -> std::io::Result<Self> {
        let (orders, due) = mpsc::channel::<Erasure>();
        let shared = Arc::clone(shared);
        let thread = std::thread::Builder::new()
            .name("eraser".into())
            .spawn(move || {
                let watched = Watched(&shared);
                while let Ok(erasure) = due.recv() {
                    if let Err(error) = watched.0.carry_out(&erasure) {
                        watched.0.fail(Failure::Store(error));
                        return;
                    }
                }
            })?;
        Ok(Self { orders, thread })
    }

    pub(super) fn take(&self, erasure: Erasure) {
        // Nobody takes it after a failure, when the process ends: the next start carries it out.
        let _ = self.orders.send(erasure);
    }

    /// Ends after all that was ordered.
    pub(super) fn end(self) {
        drop(self.orders);
        // A panic in it: as above.
        let _ = self.thread.join();
    }
}

/// A panic in that thread must not leave orders recorded and never carried out.
struct Watched<'a>(&'a Shared);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(Failure::Eraser);
        }
    }
}

impl Shared {
    fn carry_out(&self, erasure: &Erasure) -> Result<(), StoreError> {
        self.listings.forget(&erasure.contents);
        self.store.content().erase(&erasure.contents)?;
        self.store.erased().write(erasure.order)?;
        self.erased_below.send_replace(erasure.index.0 + 1);
        Ok(())
    }
}

impl Ledger {
    /// Which order erased a content.
    pub(crate) fn erased(&self, id: &ContentId) -> Option<Index> {
        self.store().content().erased(id)
    }

    /// Waits until the order at an index is carried out.
    pub(super) async fn carried_out(&self, index: Index) -> Result<(), Refusal> {
        let mut erased = self.shared.erased_below.subscribe();
        let mut failed = self.shared.failed.subscribe();
        loop {
            if *erased.borrow_and_update() > index.0 {
                return Ok(());
            }
            if failed.borrow_and_update().is_some() {
                return Err(Refusal::ShuttingDown);
            }
            tokio::select! {
                _ = erased.changed() => {}
                _ = failed.changed() => {}
            }
        }
    }
}
