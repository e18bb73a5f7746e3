//! Keys of withheld values in real files.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

fn keys() -> (tempfile::TempDir, SecretKeys, Environment) {
    let directory = tempfile::tempdir().unwrap();
    let keys = SecretKeys::new(directory.path().join("secret-keys"));
    (directory, keys, "prod/eu-1/shop".parse().unwrap())
}

#[test]
fn a_key_is_made_once_and_kept_private() {
    let (_directory, keys, shop) = keys();
    assert!(keys.load(&shop).unwrap().is_none());
    let key = keys.create(&shop).unwrap();
    let path = keys.path(&shop);
    assert!(path.ends_with("prod%2Feu-1%2Fshop.key"));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let held = fs::metadata(path.parent().unwrap()).unwrap();
    assert_eq!(held.mode() & 0o7777, 0o700);
    assert_eq!(keys.load(&shop).unwrap().unwrap().expose(), key.expose());
    assert_eq!(keys.create(&shop).unwrap_err().reason(), Reason::KeyFile);
    assert_eq!(keys.load(&shop).unwrap().unwrap().expose(), key.expose());
    let other = keys.create(&"prod/eu-1".parse().unwrap()).unwrap();
    assert_ne!(other.expose(), key.expose());
}

#[test]
fn a_key_travels_by_export_and_import_and_replaces_no_other() {
    let (_here, keys, shop) = keys();
    assert_eq!(keys.export(&shop).unwrap_err().reason(), Reason::SecretKey);
    let key = keys.create(&shop).unwrap();
    let text = keys.export(&shop).unwrap();
    assert!(text.starts_with("cairn-secret-key-v1:") && text.ends_with('\n'));

    let (there, other, _) = self::keys();
    for _ in 0..2 {
        let imported = other.import(&shop, text.as_bytes()).unwrap();
        assert_eq!(imported.expose(), key.expose());
    }
    let error = other.import(&shop, format!("{MARKER}{}", "0".repeat(64)).as_bytes());
    assert!(matches!(error.unwrap_err(), SecretError::Differs { .. }));
    assert_eq!(other.load(&shop).unwrap().unwrap().id(), key.id());

    let path = there.path().join("exported");
    fs::write(&path, text.as_bytes()).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = other.import_file(&shop, &path).unwrap_err();
    assert_eq!(error.reason(), Reason::KeyFileLoose);
}

#[test]
fn a_loose_or_damaged_key_is_refused() {
    let (_directory, keys, shop) = keys();
    keys.create(&shop).unwrap();
    let path = keys.path(&shop);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(keys.load(&shop).unwrap_err().reason(), Reason::KeyFileLoose);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for text in [
        "",
        "cairn-secret-key-v1:",
        "cairn-secret-key-v1:00\n",
        "cairn-secret-key-v2:0000000000000000000000000000000000000000000000000000000000000000\n",
        "cairn-secret-key-v1:AA00000000000000000000000000000000000000000000000000000000000000\n",
        "cairn-secret-key-v1:0000000000000000000000000000000000000000000000000000000000000000\n\n",
    ] {
        fs::write(&path, text).unwrap();
        assert_eq!(keys.load(&shop).unwrap_err().reason(), Reason::SecretKey);
    }
}
