//! What a token, a URI or a file with a PIN is refused for, and tokens that lie.

use std::{fs, process::Command, time::Duration};

use super::token::{Hsm, PIN};
use crate::{background::Background, stage::Ledger, support::tools::is_here, trust::typed};

/// Goal: a PIN is kept out of argv, and its file as private as a key. Method: each way to get it
/// wrong.
#[test]
fn a_pin_in_the_uri_or_in_a_loose_file_is_refused() {
    let Some(hsm) = Hsm::new("PINs that lie open") else {
        return;
    };
    hsm.new_key("ci");
    let uri = hsm.uri("ci");
    hsm.show(&uri).exits(0);
    let bare = hsm.bare("token=cairn;object=ci");
    // Not by `Hsm::run`: the PIN stands in its words.
    let open = format!("{bare}&pin-value={PIN}");
    let refused = hsm.command(&["key", "show", &open]).output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(
        said.contains("[PIN_EXPOSED]") && !said.contains(PIN),
        "{said}"
    );

    hsm.mode("pin", 0o640);
    hsm.show(&uri).refuses(1, "KEY_FILE_LOOSE").says("pin");
    hsm.mode("pin", 0o600);
    std::os::unix::fs::symlink(hsm.stage.path("pin"), hsm.stage.path("link")).unwrap();
    let from = |file: &str| format!("{bare}&pin-source={}", hsm.stage.path(file).display());
    hsm.show(&from("link")).refuses(1, "KEY_FILE_LOOSE");
    hsm.show(&from("none")).refuses(1, "KEY_FILE");
    for (name, text) in [("empty", "\n"), ("lines", "1234\n5678\n")] {
        hsm.private(name, text);
        hsm.show(&from(name)).refuses(2, "PIN_MISSING");
    }
    hsm.private("windows", &format!("{PIN}\r\n"));
    hsm.show(&from("windows")).exits(0);
    for loose in ["&pin-source=pin", "&module-path=/m.so", "&slot-id=1"] {
        hsm.show(&format!("{bare}{loose}")).refuses(2, "KEY_URI");
    }
}

/// Goal: which key signs is never guessed. Method: names that fit nothing, or more than one.
#[test]
fn a_key_that_is_not_there_or_not_alone_is_refused() {
    let Some(hsm) = Hsm::new("keys that are not one") else {
        return;
    };
    hsm.new_key("ci");
    hsm.new_key("cd");
    hsm.show(&hsm.uri("none"))
        .refuses(1, "TOKEN_KEY_NOT_FOUND")
        .says("cairn key list");
    hsm.show(&hsm.uri_of("token=none"))
        .refuses(1, "TOKEN_NOT_FOUND")
        .says("token=cairn");
    hsm.show(&hsm.uri_of("token=cairn"))
        .refuses(1, "TOKEN_AMBIGUOUS")
        .says("object=ci")
        .says("object=cd");
    hsm.run(&["key", "new", &hsm.uri("ci")])
        .refuses(1, "TOKEN_AMBIGUOUS");
    hsm.run(&["key", "new", &hsm.uri("new"), "--passphrase"])
        .refuses(2, "USAGE");
    hsm.run(&["key", "new", &hsm.uri_of("token=cairn")])
        .refuses(2, "KEY_URI");
    hsm.add_token("cairn");
    hsm.show(&hsm.uri("ci"))
        .refuses(1, "TOKEN_AMBIGUOUS")
        .says("serial=");
}

/// Goal: only keys that verifiers read alike are used. Method: a key of another curve.
#[test]
fn a_key_of_another_kind_is_refused() {
    let test = "keys of another kind";
    let Some(hsm) = Hsm::new(test) else {
        return;
    };
    if !is_here(test, "opensc-tool", &["--info"]) {
        return;
    }
    let words = "--keypairgen --key-type EC:prime256v1 --id 01 --label nist";
    hsm.pkcs11_tool(&words.split_whitespace().collect::<Vec<_>>());
    hsm.show(&hsm.uri("nist"))
        .refuses(1, "TOKEN_KEY_NOT_FOUND")
        .says("not an Ed25519 key");
    // One that another program made is used as any.
    let words = "--keypairgen --key-type EC:edwards25519 --id 02 --label theirs";
    hsm.pkcs11_tool(&words.split_whitespace().collect::<Vec<_>>());
    hsm.show(&hsm.uri("theirs")).exits(0);
}

/// Goal: nothing is loaded that is no module, or that others could have changed.
#[test]
fn what_is_no_module_is_not_loaded() {
    let Some(hsm) = Hsm::new("modules that are none") else {
        return;
    };
    hsm.new_key("ci");
    hsm.private("text", "no library\n");
    let of = |path: &str| {
        let path = hsm.stage.path(path);
        format!("pkcs11:object=ci?module-path={}", path.display())
    };
    hsm.show(&of("text")).refuses(1, "TOKEN_MODULE");
    hsm.show(&of("none")).refuses(1, "TOKEN_MODULE");
    hsm.show(&of("tokens")).refuses(1, "TOKEN_MODULE");
    hsm.show("pkcs11:object=ci?module-path=libsofthsm2.so")
        .refuses(2, "KEY_URI")
        .says("absolute");
    hsm.show("pkcs11:object=ci").refuses(2, "KEY_URI");
    fs::copy(&hsm.module, hsm.stage.path("copy.so")).unwrap();
    hsm.mode("copy.so", 0o755);
    hsm.run(&["key", "list", &of("copy.so")])
        .exits(0)
        .says("object=ci");
    hsm.mode("copy.so", 0o775);
    hsm.show(&of("copy.so"))
        .refuses(1, "TOKEN_MODULE")
        .says("changed by");
}

/// Goal: no token is locked by mistake. Method: a module that counts logins, and says what SoftHSM
/// never does.
#[test]
fn a_wrong_pin_is_tried_once_and_the_last_try_is_left_to_people() {
    let test = "PINs that are counted";
    let Some(hsm) = Hsm::new(test).and_then(|hsm| hsm.with_liar(test)) else {
        return;
    };
    let stage = &hsm.stage;
    hsm.new_key("ci");
    hsm.logins();
    let ci = hsm.uri("ci");
    hsm.show(&ci).exits(0);
    assert_eq!(hsm.logins(), 1);
    hsm.run(&["key", "list", &hsm.bare("")]).exits(0);
    assert_eq!(hsm.logins(), 0, "what everybody sees needs no PIN");

    hsm.private("pin", "no-such-pin");
    let ledger = stage.dev();
    stage.write("app/web.yaml", "replicas: 3\n");
    hsm.run(&["record", "prod/shop", "app", "--key", &ci, "--key", &ci])
        .refuses(2, "PIN_WRONG")
        .says("fewer tries are left");
    assert_eq!(hsm.logins(), 1, "one try, though the key was named twice");
    assert_eq!(stage.size(), 2);
    drop(ledger);
    hsm.variable("LIAR", "pad");
    hsm.show(&hsm.bare("token=cairn;object=ci"))
        .refuses(2, "PIN_MISSING");
    assert_eq!(hsm.logins(), 0, "nobody is there to type it on the token");
    for lie in ["last", "locked"] {
        hsm.variable("LIAR", lie);
        hsm.show(&ci).refuses(2, "PIN_LOCKED");
        assert_eq!(hsm.logins(), 0, "{lie}: it is not tried");
    }
}

/// Goal: a faulty token makes no entry, and is blamed. Method: a module that spoils what SoftHSM
/// says.
#[test]
fn a_token_at_fault_is_said_to_be_and_nothing_of_it_is_used() {
    let test = "tokens at fault";
    let Some(hsm) = Hsm::new(test).and_then(|hsm| hsm.with_liar(test)) else {
        return;
    };
    let stage = &hsm.stage;
    let public = hsm.new_key("ci");
    let ci = hsm.uri("ci");
    hsm.variable("LIAR", "bare");
    assert_eq!(hsm.show(&ci).exits(0).out.trim(), public);

    let _ledger = stage.dev();
    stage.write("app/web.yaml", "replicas: 3\n");
    let record = ["record", "prod/shop", "app", "--key", &ci];
    for (lie, code, said) in [
        ("sign", "SIGNER_FAILED", "the token cairn is at fault"),
        ("short", "SIGNER_FAILED", "the token cairn is at fault"),
        ("cut", "SIGNER_FAILED", "no public half"),
        ("weak", "KEY_WEAK", "weak"),
        ("always", "TOKEN_KEY_NOT_FOUND", "CKA_ALWAYS_AUTHENTICATE"),
    ] {
        hsm.variable("LIAR", lie);
        hsm.run(&record).refuses(1, code).says(said);
    }
    hsm.variable("LIAR", "sign");
    hsm.run(&["key", "new", &hsm.uri("new")])
        .refuses(1, "SIGNER_FAILED")
        .says("at fault");
    assert_eq!(stage.size(), 2, "nothing was recorded");
}

/// Goal: whoever signs for weeks outlives an HSM that is started again. Method: a module that says once
/// that the session is gone; with and without a file that holds the PIN.
#[test]
fn a_session_that_was_lost_is_opened_again() {
    let test = "a session that was lost";
    let Some(hsm) = Hsm::new(test).and_then(|hsm| hsm.with_liar(test)) else {
        return;
    };
    hsm.variable("LIAR", "lost");
    hsm.run(&["key", "new", &hsm.uri("ci")]).exits(0);
    assert_eq!(hsm.logins(), 2, "once to make it, once when all was lost");

    let bare = hsm.bare("token=cairn;object=cd");
    let mut script = Command::new("script");
    hsm.set(&mut script);
    let line = format!("key new '{bare}'");
    let Some(asked) = typed(&hsm.stage, &mut script, &line, &[PIN]) else {
        return;
    };
    asked.exits(1).says("[SIGNER_FAILED]").says("wants its PIN");
}

/// Goal: a token is not locked by a process that goes on for weeks. Method: a witness whose sessions
/// are lost after its PIN was changed, and who is asked again and again.
#[test]
fn a_pin_that_is_refused_in_mid_work_is_not_tried_again() {
    let test = "a PIN that was changed in mid-work";
    let Some(hsm) = Hsm::new(test).and_then(|hsm| hsm.with_liar(test)) else {
        return;
    };
    hsm.new_key("wit");
    let (stage, key) = (&hsm.stage, hsm.uri("wit"));
    let name = "witness.example/one";
    let vkey = hsm.run(&["key", "show", &key, "--as", name]).exits(0).out;
    drop(stage.dev());
    let trust = stage.run("trust show --output json").exits(0);
    let log = trust.json("cairn.trust/v1")["logKey"].clone();
    let line = "witness serve --data wit --new --listen 127.0.0.1:0 --as witness.example/one";
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--key", &key, "--log", log.as_str().unwrap()]);
    hsm.variable("LIAR", "lost");
    hsm.logins();
    let witness = Background::start(&mut hsm.command(&words), "Witness");
    assert_eq!(hsm.logins(), 1);
    hsm.private("pin", "no-longer-the-pin");
    let peer = format!("{}={}", witness.url, vkey.trim());
    let mut dev = stage.command();
    dev.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
    let _ledger = Ledger::start(dev.args(["--witness", &peer]));
    stage.write("app/web.yaml", "replicas: 3\n");
    for round in 1..=6 {
        stage.write("app/round", round.to_string());
        stage.run("record prod/shop app").exits(0);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert_eq!(hsm.logins(), 1, "the new PIN is tried once");
}

/// Goal: a public half that is not the private key's is found out. Method: two keys' halves swapped
/// on the token.
#[test]
fn halves_that_do_not_belong_together_do_not_sign() {
    let test = "halves that do not belong together";
    let Some(hsm) = Hsm::new(test) else {
        return;
    };
    if !is_here(test, "opensc-tool", &["--info"]) {
        return;
    }
    let run = |line: &str| hsm.pkcs11_tool(&line.split_whitespace().collect::<Vec<_>>());
    run("--keypairgen --key-type EC:edwards25519 --id 01 --label one");
    run("--keypairgen --key-type EC:edwards25519 --id 02 --label two");
    run("--delete-object --type pubkey --id 01");
    let one = hsm.uri("one");
    hsm.show(&one)
        .refuses(1, "SIGNER_FAILED")
        .says("public half");
    run("--set-id 01 --type pubkey --id 02");
    let _ledger = hsm.stage.dev();
    hsm.stage.write("app/web.yaml", "replicas: 3\n");
    hsm.run(&["record", "prod/shop", "app", "--key", &one])
        .refuses(1, "SIGNER_FAILED")
        .says("the token cairn is at fault");
}
