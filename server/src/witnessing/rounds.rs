//! Round after round: the newest head is put to every witness that is not busy with an older one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use cairn_proto::hash::TreeSize;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, Instant},
};

use super::{
    Witnesses,
    ask::{Asked, Peer},
};
use crate::ledger::{Head, Ledger};

/// How long a round waits for those who have not answered: the next head is put to the others.
const ROUND: Duration = Duration::from_secs(1);
/// The least time from one round to the next: what was recorded meanwhile goes together.
const SPACING: Duration = Duration::from_millis(100);
/// How often a head is put to them again while nothing happens.
const RENEW: Duration = Duration::from_secs(30);
/// How long a witness that is busy, or of no use, is left alone: doubled each time.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Has witnesses cosign the ledger's heads, until this is dropped.
pub async fn witness(ledger: Ledger, witnesses: Witnesses) {
    let Witnesses { peers, post } = witnesses;
    let mut heads = ledger.heads();
    let (targets, _) = watch::channel(ledger.head());
    let (done, mut answers) = mpsc::channel(peers.len().max(1));
    // Whoever is left alone for a while is not waited for.
    let paused = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for peer in peers {
        let peer = Peer::new(peer, post.clone());
        let done = (done.clone(), paused.clone());
        let work = follow(ledger.clone(), peer, targets.subscribe(), done);
        tasks.spawn(work);
    }
    let workers = tasks.len();
    loop {
        if ledger.is_halted() {
            // An old copy: its last head must not be kept young.
            return;
        }
        let head = heads.borrow_and_update().clone();
        let size = head.size();
        targets.send_replace(head);
        let begin = Instant::now();
        let mut answered = 0;
        while answered + paused.load(Ordering::Relaxed) < workers {
            match time::timeout_at(begin + ROUND, answers.recv()).await {
                Ok(Some(of)) if of == size => answered += 1,
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => break,
            }
        }
        match time::timeout(RENEW, changed(&mut heads, size)).await {
            Ok(false) => return,
            Ok(true) | Err(_) => time::sleep_until(begin + SPACING).await,
        }
    }
}

/// Waits for a head of another size: a renewed one has nothing new to cosign. False: there will
/// be none.
async fn changed(heads: &mut watch::Receiver<Arc<Head>>, size: TreeSize) -> bool {
    heads.wait_for(|head| head.size() != size).await.is_ok()
}

/// One witness: whatever is the newest target once it is done with the last.
async fn follow(
    ledger: Ledger,
    mut peer: Peer,
    mut targets: watch::Receiver<Arc<Head>>,
    (done, paused): (mpsc::Sender<TreeSize>, Arc<AtomicUsize>),
) {
    let mut pause = PAUSE_MIN;
    let mut told = None;
    targets.mark_changed();
    while targets.changed().await.is_ok() {
        let head = targets.borrow_and_update().clone();
        let asked = peer.ask(&ledger, &head).await;
        let witness = peer.name();
        match &asked {
            Asked::Cosigned { line } => {
                ledger.witnessed(&head, peer.key(), line);
                if done.send(head.size()).await.is_err() {
                    return;
                }
                (pause, told) = (PAUSE_MIN, None);
                continue;
            }
            // Said once, until something else is to be said.
            _ if told.as_ref() == Some(&asked) => {}
            Asked::Ahead(seen) => tracing::error!(
                %witness, seen = seen.0, "a witness cosigned a larger tree than this server \
                 signed: another server has its key"
            ),
            Asked::Contradicts => tracing::error!(
                %witness, "a witness cosigned another history of this log"
            ),
            Asked::Busy => tracing::info!(%witness, "a witness is busy"),
            Asked::Nothing(why) => tracing::warn!(%witness, %why, "a witness does not cosign"),
        }
        told = Some(asked);
        // Whoever is paused does not hold up the round: it ends without.
        paused.fetch_add(1, Ordering::Relaxed);
        // Of no head: it has the round look again at who is left.
        let told_of = done.send(TreeSize(0)).await;
        time::sleep(pause).await;
        paused.fetch_sub(1, Ordering::Relaxed);
        if told_of.is_err() {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
        // What it failed with may be all there is for a while.
        targets.mark_changed();
    }
}
