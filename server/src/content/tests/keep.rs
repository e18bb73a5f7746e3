//! Uploads that somebody still waits to name.

use super::*;

/// Goal: what a waiting proposal names outlives the age at which uploads go, and nobody else's does.
/// Method: two owners of the same content; the one is kept, again and again.
#[test]
fn what_an_owner_keeps_is_not_dropped_with_the_rest() {
    let files = open(&FakeDisk::new());
    let (id, bytes) = content(1, 100);
    for owner in ["waits", "forgot"] {
        send(&files, owner, id, &bytes);
    }
    let age = Duration::from_millis(300);
    for _ in 0..4 {
        thread::sleep(age / 2);
        files.staging().keep("waits");
        files.staging().keep("nobody");
        files.staging().expire(age).unwrap();
    }
    let claimed = |owner| files.staging().claimed(owner, &id).unwrap();
    assert_eq!((claimed("waits"), claimed("forgot")), (Some(100), None));
    thread::sleep(age);
    assert_eq!(files.staging().expire(age / 2).unwrap(), 1);
}
