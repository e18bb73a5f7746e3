//! From the first signature to the last, over restarts, for those who may.

use std::{
    collections::HashMap,
    fs,
    sync::atomic::{AtomicU64, Ordering},
};

use cairn_grpc::v1;
use cairn_proto::hash::ContentId;
use cairn_server::{access::Access, proposals::Settings};

use super::{code, draft, get, id, list, put, serve, tokens, usual, waiters, withdraw};
use crate::{
    access::{client, told},
    support::{DEV, Draft, OTHER, Server, THIRD, manifest, stored},
};

/// Goal: signatures that come one by one make the very envelope that signing at once makes. Method:
/// three signers, in the worst order, each twice; read whole and by a few digits; recorded.
#[tokio::test]
async fn signatures_are_joined_in_their_one_spelling() {
    let folder = tempfile::tempdir().unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    let good = draft(&server, "prod/shop", "good");
    for seed in [THIRD, DEV, OTHER, THIRD] {
        let mut more = good.sign(&[seed]);
        if seed != THIRD {
            // Whoever adds to what waits need not send the document again.
            more.document.clear();
        }
        put(&mut client, more).await.unwrap();
    }
    let whole = good.sign(&[DEV, OTHER, THIRD]);
    for digits in [8, 12, 64] {
        let found = get(&mut client, &id(&good)[..digits]).await.unwrap();
        assert_eq!(found.proposal.unwrap().envelope, whole.envelope);
        assert_eq!(found.document, good.document);
    }
    assert_eq!(
        code(get(&mut client, &id(&good)[..7]).await),
        "INVALID_REQUEST"
    );
    assert_eq!(
        code(get(&mut client, "ABCDEF0123").await),
        "INVALID_REQUEST"
    );
    for number in 0..4 {
        let more = draft(&server, &format!("prod/{number}"), "x");
        put(&mut client, more.sign(&[DEV])).await.unwrap();
    }
    assert_eq!(list(&mut client, "").await.len(), 5);
    assert_eq!(list(&mut client, "prod/3").await.len(), 1);
    assert!(list(&mut client, "prod/4").await.is_empty());
    server.client().await.append(whole).await.unwrap();
    assert_eq!(list(&mut client, "").await.len(), 4);
    server.stop().await;
}

/// Two releases of an environment whose ids begin with the same 8 digits.
fn alike(server: &Server) -> [Draft; 2] {
    let mut seen = HashMap::new();
    for number in 0_u32.. {
        let mut one = draft(server, "prod/shop", "x");
        one.release.reason = Some(number.to_string());
        let digits = id(&one)[..8].to_owned();
        if let Some(other) = seen.insert(digits, number) {
            let mut first = one.clone();
            first.release.reason = Some(other.to_string());
            return [first, one];
        }
    }
    unreachable!("there are only so many digits")
}

/// Goal: digits that name two proposals name none. Method: two whose ids begin alike, found by looking
/// for them; then one is gone.
#[tokio::test]
async fn digits_that_name_two_proposals_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), tokens(), Settings::below(folder.path())).await;
    let mut client = waiters(&server, Some("one")).await;
    let [one, two] = alike(&server);
    for waits in [&one, &two] {
        put(&mut client, waits.sign(&[DEV])).await.unwrap();
    }
    let digits = &id(&one)[..8];
    let (reason, words) = told(get(&mut client, digits).await);
    assert_eq!(reason, "INVALID_REQUEST");
    assert!(words.contains("2 proposals begin with"), "{words}");
    assert_eq!(told(withdraw(&mut client, digits).await).1, words);
    withdraw(&mut client, &id(&one)).await.unwrap();
    let found = get(&mut client, digits).await.unwrap();
    assert_eq!(found.proposal.unwrap().envelope, two.sign(&[DEV]).envelope);
    server.stop().await;
}

static CLOCK: AtomicU64 = AtomicU64::new(1_000);

/// Goal: what nobody signs in time goes away, whatever happens meanwhile. Method: the server's clock,
/// with a restart in between.
#[tokio::test]
async fn a_proposal_expires_by_the_servers_clock_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        wait_seconds: 60,
        clock: || CLOCK.load(Ordering::Relaxed),
        ..Settings::below(folder.path())
    };
    let server = serve(folder.path(), Access::open(), settings.clone()).await;
    let mut client = waiters(&server, None).await;
    let good = draft(&server, "prod/shop", "good");
    let left = put(&mut client, good.sign(&[DEV])).await.unwrap();
    assert_eq!(left.expires, 1_060);
    server.stop().await;
    CLOCK.store(1_059, Ordering::Relaxed);
    let server = serve(folder.path(), Access::open(), settings).await;
    let mut client = waiters(&server, None).await;
    let kept = get(&mut client, &id(&good)).await.unwrap();
    assert_eq!(kept.proposal.unwrap(), left);
    let more = put(&mut client, good.sign(&[OTHER])).await.unwrap();
    assert_eq!(more.expires, 1_060);
    CLOCK.store(1_060, Ordering::Relaxed);
    assert_eq!(code(get(&mut client, &id(&good)).await), "NOT_FOUND");
    assert!(list(&mut client, "").await.is_empty());
    // Whoever wants it to wait again says so again.
    let again = put(&mut client, good.sign(&[DEV])).await.unwrap();
    assert_eq!((again.expires, &again.envelope), (1_120, &left.envelope));
    server.stop().await;
}

/// Goal: damage costs a proposal and no start. Method: a byte of one file, all of the directory.
#[tokio::test]
async fn damaged_proposals_are_dropped_at_start_and_the_ledger_serves() {
    let folder = tempfile::tempdir().unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    let (one, two) = (draft(&server, "prod/a", "1"), draft(&server, "prod/b", "2"));
    for waits in [&one, &two] {
        put(&mut client, waits.sign(&[DEV])).await.unwrap();
    }
    server.stop().await;
    let room = folder.path().join("proposals");
    let file = room.join(id(&one));
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    assert_eq!(code(get(&mut client, &id(&one)).await), "NOT_FOUND");
    get(&mut client, &id(&two)).await.unwrap();
    server.stop().await;
    fs::remove_dir_all(&room).unwrap();
    fs::write(&room, "no directory").unwrap();
    let server = usual(folder.path()).await;
    let mut client = waiters(&server, None).await;
    assert!(list(&mut client, "").await.is_empty());
    assert_eq!(code(put(&mut client, one.sign(&[DEV])).await), "INTERNAL");
    server
        .client()
        .await
        .append(one.sign(&[DEV, OTHER]))
        .await
        .unwrap();
    server.stop().await;
}

/// Goal: who may not write there sees nothing, and takes nothing away. Method: each token, and none.
#[tokio::test]
async fn only_who_may_write_there_sees_signs_and_withdraws() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), tokens(), Settings::below(folder.path())).await;
    let good = draft(&server, "prod/shop", "good");
    let mut one = waiters(&server, Some("one")).await;
    let mut two = waiters(&server, Some("two")).await;
    put(&mut one, good.sign(&[DEV])).await.unwrap();
    let id = id(&good);
    for (name, refused) in [(Some("reader"), "NOT_ALLOWED"), (None, "NOT_AUTHENTICATED")] {
        let mut client = waiters(&server, name).await;
        assert_eq!(code(put(&mut client, good.sign(&[OTHER])).await), refused);
        assert_eq!(code(get(&mut client, &id).await), refused);
        assert_eq!(code(withdraw(&mut client, &id).await), refused);
        let request = v1::ListProposalsRequest::default();
        assert_eq!(code(client.list_proposals(request).await), refused);
    }
    let mut rival = waiters(&server, Some("rival")).await;
    assert_eq!(
        code(put(&mut rival, good.sign(&[OTHER])).await),
        "NOT_ALLOWED"
    );
    assert!(list(&mut rival, "").await.is_empty());
    // Told as if there were none.
    let (absent, hidden) = (
        get(&mut rival, &"0".repeat(64)).await,
        get(&mut rival, &id).await,
    );
    assert_eq!(told(absent).1.replace(&"0".repeat(64), &id), told(hidden).1);
    put(&mut two, good.sign(&[OTHER])).await.unwrap();
    let (reason, words) = told(withdraw(&mut two, &id).await);
    assert_eq!(reason, "NOT_ALLOWED");
    assert!(words.contains("another token"), "{words}");
    withdraw(&mut one, &id[..8]).await.unwrap();
    assert_eq!(code(get(&mut two, &id).await), "NOT_FOUND");
    server.stop().await;

    let server = usual(folder.path()).await;
    let mut nobody = waiters(&server, None).await;
    put(&mut nobody, good.sign(&[DEV])).await.unwrap();
    let (reason, words) = told(withdraw(&mut nobody, &id).await);
    assert_eq!(reason, "NOT_AUTHENTICATED");
    assert!(words.contains("it expires"), "{words}");
    server.stop().await;
}

async fn upload(server: &Server, name: &str, bytes: &[u8]) {
    let part = v1::PutContentRequest {
        content_id: ContentId::of(bytes).0.to_vec().into(),
        offset: 0,
        data: bytes.to_vec().into(),
        last: true,
    };
    let mut client = client(server, name).await;
    client
        .put_content(tokio_stream::iter([part]))
        .await
        .unwrap();
}

/// Goal: who submits need not have what the proposal names: whoever left it sent that. And nobody gets
/// at another's uploads by it. Method: two tokens; the same bytes in what waits, and in what does not.
#[tokio::test]
async fn who_submits_need_not_be_who_uploaded() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(folder.path(), tokens(), Settings::below(folder.path())).await;
    let genesis = *server.ledger.trust().genesis();
    let files = manifest(vec![stored("a", b"sent by one")]);
    let waits = Draft::new(genesis, "prod/a", 1, &files);
    let alone = Draft::new(genesis, "prod/b", 1, &files);
    let mut one = waiters(&server, Some("one")).await;
    let mut two = waiters(&server, Some("two")).await;
    assert_eq!(
        code(put(&mut one, waits.sign(&[DEV])).await),
        "CONTENT_MISSING"
    );
    upload(&server, "one", b"sent by one").await;
    put(&mut one, waits.sign(&[DEV])).await.unwrap();
    assert_eq!(
        code(put(&mut two, alone.sign(&[DEV])).await),
        "CONTENT_MISSING"
    );
    put(&mut two, waits.sign(&[OTHER])).await.unwrap();
    let mut submits = client(&server, "two").await;
    let both = alone.sign(&[DEV, OTHER]);
    assert_eq!(code(submits.append(both).await), "CONTENT_MISSING");
    submits.append(waits.sign(&[DEV, OTHER])).await.unwrap();
    // What was recorded opens nothing further.
    let both = alone.sign(&[DEV, OTHER]);
    assert_eq!(code(submits.append(both).await), "CONTENT_MISSING");
    server.stop().await;
}

/// Goal: a server on which nothing may wait says so to each call, and what to do instead. Method: none
/// in its settings.
#[tokio::test]
async fn a_server_without_a_room_takes_no_proposals() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path()).await;
    let mut client = waiters(&server, None).await;
    let good = draft(&server, "prod/shop", "good");
    for told in [
        told(get(&mut client, "00000000").await),
        told(withdraw(&mut client, "00000000").await),
        told(put(&mut client, good.sign(&[DEV])).await),
    ] {
        assert_eq!(told.0, "NOT_ALLOWED");
        assert!(told.1.contains("hand files on"), "{told:?}");
    }
    server
        .client()
        .await
        .append(good.sign(&[DEV, OTHER]))
        .await
        .unwrap();
    server.stop().await;
}
