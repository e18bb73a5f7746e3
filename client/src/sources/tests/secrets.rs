//! What is withheld, and that it stays so.

use super::{
    super::sniff::{Sniffer, is_secret_by_name},
    *,
};
use std::fmt::Write as _;

use cairn_proto::{manifest::Bytes, name::ArtifactName};

/// The verdict on bytes that arrive all at once, and byte by byte; they must agree.
fn sniff(name: &str, bytes: &[u8]) -> bool {
    let verdict = |step: usize| {
        let mut sniffer = Sniffer::new(name, "");
        bytes.chunks(step).for_each(|part| sniffer.update(part));
        sniffer.finish()
    };
    let whole = verdict(bytes.len().max(1));
    if !bytes.contains(&0) && bytes.len() < 100_000 {
        assert_eq!(whole, verdict(7), "{name} in parts");
    }
    whole
}

#[test]
fn names_of_secrets_are_known() {
    for name in [
        ".env",
        "a/.env",
        ".env.local",
        ".ENVRC",
        "id_rsa",
        "ssh/id_ed25519",
        "tls/server.key",
        "Server.KEY",
        "keys.p12",
    ] {
        assert!(is_secret_by_name(name), "{name}");
    }
    for name in [
        "env",
        "my.env.d/x",
        "id_rsa.pub",
        "keys.txt",
        "a.pem",
        "monkey",
    ] {
        assert!(!is_secret_by_name(name), "{name}");
    }
}

#[test]
fn private_keys_are_known_by_their_text() {
    for label in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        let pem = format!("some text\n-----BEGIN {label}-----\nMIIE\n-----END {label}-----\n");
        assert!(sniff("chain.pem", pem.as_bytes()), "{label}");
        let json = format!("{{\"key\":\"-----BEGIN {label}-----\\nMIIE\"}}");
        assert!(sniff("account.json", json.as_bytes()), "{label}");
    }
    assert!(sniff("age.txt", b"AGE-SECRET-KEY-1QQQQ"));
    assert!(!sniff("cert.pem", b"-----BEGIN CERTIFICATE-----\nMIIE\n"));
    assert!(!sniff("key.pub", b"-----BEGIN PUBLIC KEY-----\nMIIE\n"));
    assert!(!sniff("README.md", b"Never commit a PRIVATE KEY.\n"));
    // Every TLS library holds the words; a program is no key.
    let mut program = b"\x7fELF\x02\x01\x01\0\0\0".to_vec();
    program.extend_from_slice(b"-----BEGIN RSA PRIVATE KEY-----");
    assert!(!sniff("libssl.so", &program));
}

#[test]
fn secret_objects_are_known_in_every_spelling() {
    for text in [
        "apiVersion: v1\nkind: Secret\ndata: {a: b}\n",
        "kind:   Secret # note\n",
        "kind: \"Secret\"\n",
        "'kind': 'Secret'\n",
        "{apiVersion: v1, kind: Secret, data: {}}",
        "{\"apiVersion\":\"v1\",\"kind\":\"Secret\"}",
        "{\"kind\" :\n\t\"Secret\"}",
        "kind: SecretList\n",
        "kind: List\nitems:\n- kind: Secret\n",
        "kind: ConfigMap\n---\nkind: Secret\n",
        "kind: !!str Secret\n",
        "kind: &anchor Secret\n",
        "kind: >-\n  Secret\n",
        "kind: # why not\n  Secret\n",
        "? kind\n: Secret\n",
        "\"ki\\u006ed\": Secret\n",
        "\"kind\": \"\\u0053ecret\"\n",
        "kind: \"Sec\\x72et\"\n",
        "kind: \"Sec\\\n  ret\"\n",
        "x: &s Secret\nkind: *s\n",
        "kind: !!binary U2VjcmV0\n",
        "\"ki\\u006ed\": !!binary U2VjcmV0\n",
        "data:\n  object: '{\"kind\":\"Secret\"}'\n",
        "note: \"{\\\"kind\\\":\\\"Secret\\\"}\"\n",
        "kind: Secret",
        // Broken, and with the word in it: fail closed.
        "a: [\n? kind : ?\n- Secret\n",
    ] {
        assert!(sniff("object.yaml", text.as_bytes()), "{text}");
    }
    let wide: Vec<u8> = "\u{feff}kind: Secret\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert!(sniff("utf16.yaml", &wide));
    let far = format!("kind:{}Secret\n", " ".repeat(10_000));
    assert!(sniff("far.yaml", far.as_bytes()));
}

#[test]
fn objects_that_only_speak_of_secrets_are_not_withheld() {
    for text in [
        "kind: Deployment\nspec: {envFrom: [{secretRef: {name: x}}]}\n",
        "kind: ExternalSecret\n",
        "kind: SecretStore\nspec: {}\n",
        "kind: SealedSecret\n",
        "kind: Role\nrules: [{resources: [secrets]}]\n",
        "kind: ConfigMap\ndata: {text: 'this is no Secret'}\n",
        "kind: ConfigMap\ndata: {path: \"C:\\\\users\"}\n",
        "Resources:\n  A:\n    Type: AWS::SecretsManager::Secret\n    X: !Ref B\n    Y: !GetAtt C.D\n",
        "{\"kind\":\"Pod\",\"note\":\"{\\\"kind\\\":\\\"Deployment\\\",\\\"x\\\":1}\"}",
    ] {
        assert!(!sniff("object.yaml", text.as_bytes()), "{text}");
    }
    assert!(!sniff(
        "notes.txt",
        b"a kind of magic, a Secret: [unbalanced"
    ));
}

/// Goal: Terraform's states and plans are secrets whatever they are called, and what only speaks
/// of Terraform is not. Method: beginnings of each.
#[test]
fn states_and_plans_of_terraform_are_secrets() {
    let state =
        "{\"version\": 4, \"terraform_version\": \"1.9\", \"serial\": 1, \"lineage\": \"x\"}";
    let shown = "{\"format_version\":\"1.2\",\"terraform_version\":\"1.9\",\"planned_values\":{}}";
    for text in [state, shown] {
        for name in ["state.json", "pulled", "a.txt"] {
            assert!(sniff(name, text.as_bytes()), "{name}");
        }
    }
    for name in ["terraform.tfstate", "a.tfstate.17.backup", "A.TFSTATE"] {
        assert!(is_secret_by_name(name), "{name}");
    }
    let mut plan = b"PK\x03\x04".to_vec();
    plan.resize(26, 0);
    plan.extend(b"\x06\0\0\0tfplan");
    assert!(sniff("release", &plan));
    plan[26] = 17;
    plan.extend(b"-readme.txt");
    assert!(!sniff("lambda.zip", &plan), "another name");
    assert!(!sniff("lock.json", b"{\"terraform_version\": \">= 1.5\"}"));
    assert!(!is_secret_by_name("tfstate.md"));
}

#[test]
fn a_text_too_long_to_be_parsed_is_still_scanned_to_its_end() {
    let long = "# filler\n".repeat(600_000);
    assert!(!sniff("long.yaml", format!("{long}kind: Pod\n").as_bytes()));
    assert!(sniff(
        "long.yaml",
        format!("{long}kind: Secret\n").as_bytes()
    ));
    let hidden = format!("{long}\"ki\\u006ed\": Secret\n");
    assert!(sniff("long.yaml", hidden.as_bytes()));
}

#[test]
fn an_alias_bomb_is_withheld_if_it_could_be_a_secret_and_costs_little() {
    let mut bomb = String::from("a0: &a0 [Secret, x]\n");
    for at in 1..40 {
        let above = format!("*a{}, ", at - 1).repeat(9);
        writeln!(bomb, "a{at}: &a{at} [{above}]").unwrap();
    }
    let start = std::time::Instant::now();
    assert!(sniff("bomb.yaml", bomb.as_bytes()));
    assert!(start.elapsed().as_secs() < 5);
}

fn secrets() -> TempDir {
    directory(&[
        (".env", b"PASSWORD=hunter2"),
        ("db.yaml", b"kind: Secret\nstringData: {p: hunter2}\n"),
        ("web.yaml", b"kind: Deployment\n"),
    ])
}

#[test]
fn secrets_leave_nothing_but_tags() {
    let root = secrets();
    let capture = record(root.path());
    let withheld: Vec<_> = capture.withheld.iter().map(ArtifactName::as_str).collect();
    assert_eq!(withheld, [".env", "db.yaml"]);
    assert_eq!(capture.contents.len(), 1);
    for name in withheld {
        assert!(matches!(
            capture.artifact(name).unwrap().bytes,
            Bytes::Withheld(_)
        ));
    }
    let bytes = manifest(&capture).encode();
    assert!(!String::from_utf8(bytes).unwrap().contains("\"size\":16"));
    // The tag depends on environment, name and value.
    let again = record(root.path());
    assert_eq!(again.artifacts, capture.artifacts);
    let bytes = |name: &str| capture.artifact(name).unwrap().bytes;
    assert_ne!(bytes(".env"), bytes("db.yaml"));
}

#[test]
fn another_name_does_not_make_a_secret_any_less_of_one() {
    let root = secrets();
    for path in [".env", "db.yaml"] {
        let named = Input {
            name: Some("harmless.txt".into()),
            path: root.path().join(path),
        };
        let options = CaptureOptions::new(Purpose::Record);
        let capture = capture(&[named], &options, Some(&tags()), &()).unwrap();
        assert_eq!(capture.withheld.len(), 1, "{path}");
    }
}

#[test]
fn recording_a_secret_needs_a_key() {
    let options = CaptureOptions::new(Purpose::Record);
    let root = secrets();
    let error = capture(&[input(root.path())], &options, None, &()).unwrap_err();
    assert_eq!(error.reason(), Reason::SecretKey);
    let plain = directory(&[("web.yaml", b"kind: Deployment\n")]);
    assert!(capture(&[input(plain.path())], &options, None, &()).is_ok());
}

#[test]
fn what_is_named_is_stored_in_plain_and_a_wrong_name_is_refused() {
    let root = secrets();
    let mut options = CaptureOptions::new(Purpose::Record);
    options.store_plain.insert("db.yaml".into());
    let captured = capture(&[input(root.path())], &options, Some(&tags()), &()).unwrap();
    assert_eq!(captured.withheld.len(), 1);
    assert!(
        captured
            .artifact("db.yaml")
            .unwrap()
            .bytes
            .digests()
            .is_some()
    );
    options.store_plain.insert("dp.yaml".into());
    let error = capture(&[input(root.path())], &options, Some(&tags()), &()).unwrap_err();
    assert_eq!(error.reason(), Reason::Usage);
}

#[test]
fn verifying_measures_as_recorded_whatever_the_bytes_look_like_now() {
    let root = secrets();
    let recorded = manifest(&record(root.path()));
    // The secret is none any more, and the plain file became one.
    put(root.path(), "db.yaml", b"kind: ConfigMap\n");
    put(root.path(), "web.yaml", b"kind: Secret\n");
    let capture = verify(root.path(), &Recorded::new(&recorded));
    let bytes = |name: &str| &capture.artifact(name).unwrap().bytes;
    assert!(matches!(bytes("db.yaml"), Bytes::Withheld(_)));
    assert!(bytes("web.yaml").digests().is_some());
}

#[test]
fn verifying_without_the_key_leaves_secrets_unmeasured() {
    let root = secrets();
    let recorded = manifest(&record(root.path()));
    let view = Recorded::new(&recorded);
    let options = CaptureOptions::new(Purpose::Verify(&view));
    let capture = capture(&[input(root.path())], &options, None, &()).unwrap();
    assert_eq!(names(&capture), ["web.yaml"]);
    assert_eq!(capture.unmeasured.len(), 2);
    for unmeasured in &capture.unmeasured {
        assert_eq!(unmeasured.reason, Reason::SecretKey);
        assert!(unmeasured.mode.is_some());
    }
}
