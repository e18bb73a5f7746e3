//! Commands for keys, help and the state of things, in both formats; misuse.

use std::{fs, os::unix::fs::PermissionsExt as _};

use cairn_proto::{hash::KeyId, reason::Reason};

use crate::stage::Stage;

/// Goal: a misuse is told from a failure. Method: command lines that make no sense.
#[test]
fn a_command_line_that_makes_no_sense_exits_with_2() {
    let stage = Stage::new();
    let wrong = [
        "",
        "recrod staging shop",
        "record staging",
        "record Staging shop",
        "record staging shop --output yaml",
        "verify staging",
        "show staging#0",
        "show sha256:abc",
        "log -n many",
        "restore staging web.yaml",
        "diff staging",
        "rollback staging",
        "verify --offline staging shop",
        "help no-such-topic",
        "completion nosh",
    ];
    for line in wrong {
        let ran = stage.run(line).exits(2);
        assert!(ran.out.is_empty() && !ran.err.is_empty(), "cairn {line}");
    }
}

/// Goal: without a ledger nothing is guessed. Method: every command that needs one.
#[test]
fn a_command_that_needs_a_ledger_says_how_to_trust_one() {
    let stage = Stage::new();
    stage.write("app/web.yaml", "replicas: 3\n");
    for line in [
        "log",
        "status",
        "policy history",
        "history prod/shop",
        "find file",
        "watch",
        "audit",
        "verify staging app",
        "record staging app",
        "trust show",
    ] {
        let ran = stage.run(line).refuses(2, "TRUST_MISSING");
        ran.says("cairn trust add URL");
    }
    stage
        .run("status --context prod")
        .refuses(2, "USAGE")
        .says("prod");
}

/// Goal: scripts get errors in one form as well. Method: an error with `--output json`.
#[test]
fn an_error_is_one_json_document_on_standard_error() {
    let stage = Stage::new();
    let ran = stage.run("status --output json").exits(2);
    assert_eq!(ran.out, "");
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["schema"], "cairn.error/v1");
    assert_eq!(error["code"], "TRUST_MISSING");
    assert_eq!(error["exit"], 2);
    assert!(error["message"].is_string() && error["fix"].is_string());
}

/// Goal: how things stand is seen at once, and what is known here even without a network.
#[test]
fn status_shows_the_ledger_in_use() {
    let (stage, ledger) = Stage::with_release();
    let text = stage.run("status").exits(0);
    let text = text
        .says("Context   dev")
        .says(&ledger.url)
        .says("Size      4 entries, ");
    text.says("Seen      4 entries before");
    let status = stage
        .run("status --output json")
        .exits(0)
        .json("cairn.status/v1");
    assert_eq!(status["context"], "dev");
    assert_eq!(status["url"], ledger.url.as_str());
    assert!(status["origin"].as_str().unwrap().starts_with("dev/"));
    assert_eq!(status["genesis"].as_str().unwrap().len(), 64);
    assert_eq!(status["root"].as_str().unwrap().len(), 64);
    assert_eq!((&status["size"], &status["held"]), (&4.into(), &4.into()));
    assert!(status["age"].is_u64() && status["serverVersion"].is_string());
    drop(ledger);
    stage
        .run("status")
        .refuses(3, "UNREACHABLE")
        .says("Context   dev");
}

/// Goal: the audit's report reaches people, scripts and a file alike.
#[test]
fn an_audit_reports_in_text_in_json_and_to_a_file() {
    let (stage, _ledger) = Stage::with_release();
    stage
        .run("audit --report report.json")
        .exits(0)
        .says("No problems found");
    let report = stage
        .run("audit --output json")
        .exits(0)
        .json("cairn.audit/v1");
    assert_eq!(report["ok"], true);
    assert_eq!(report["checkpoint"]["size"], 4);
    assert_eq!(
        (&report["entries"], &report["envelopes"]),
        (&4.into(), &2.into())
    );
    assert_eq!(report["mapRecords"], 2);
    assert_eq!(report["history"], "linked");
    assert_eq!(report["alarms"], serde_json::json!([]));
    let file: serde_json::Value = serde_json::from_str(&stage.text("report.json")).unwrap();
    assert_eq!(
        (&file["schema"], &file["ok"]),
        (&report["schema"], &report["ok"])
    );
    stage
        .run("audit --fresh")
        .exits(0)
        .says("No problems found");
    stage
        .run("audit --report /dev/null")
        .refuses(1, "PATH_UNREADABLE");
}

/// Goal: an auditor who never saw the ledger is told so.
#[test]
fn a_first_audit_says_that_there_was_nothing_to_compare_with() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.run("audit").exits(0).says("History   first look");
}

/// Goal: a key is made once, privately, and shown in the form that `init` takes.
#[test]
fn a_key_is_new_private_and_shown_by_its_public_half() {
    let stage = Stage::new();
    let made = stage
        .run("key new deploy.pem --output json")
        .exits(0)
        .json("cairn.key/v1");
    let bits = fs::metadata(stage.path("deploy.pem"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(bits & 0o7777, 0o600);
    let shown = stage
        .run("key show deploy.pem --output json")
        .exits(0)
        .json("cairn.key/v1");
    assert_eq!(made, shown);
    let text = stage.run("key show deploy.pem").exits(0);
    let public = text.out.trim_end();
    assert_eq!(
        made["public"], public,
        "one line, for $(cairn key show FILE)"
    );
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, public);
    let id = KeyId::of(&bytes.unwrap().try_into().unwrap()).to_string();
    assert_eq!(made["keyid"], id.as_str());
    text.says(&id);
    let before = stage.text("deploy.pem");
    stage
        .run("key new deploy.pem")
        .refuses(1, "KEY_FILE")
        .says("exists already");
    assert_eq!(stage.text("deploy.pem"), before);
}

/// Goal: where nobody can be asked, that is an error and not a hang or an open key.
#[test]
fn a_passphrase_that_nobody_can_type_is_an_error() {
    let stage = Stage::new();
    stage
        .run("key new deploy.pem --passphrase")
        .refuses(2, "USAGE")
        .says("passphrase");
    assert!(!stage.path("deploy.pem").exists());
}

/// Goal: a key that others could have read signs nothing. Method: loosen its file.
#[test]
fn a_key_that_others_may_read_is_refused() {
    let (stage, _ledger) = Stage::with_release();
    stage.run("key new loose.pem").exits(0);
    fs::set_permissions(stage.path("loose.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    stage
        .run("key show loose.pem")
        .refuses(1, "KEY_FILE_LOOSE")
        .says("chmod 600");
    stage
        .run("record prod/shop app --again --key loose.pem")
        .refuses(1, "KEY_FILE_LOOSE");
    assert_eq!(stage.size(), 4);
}

/// Goal: a host verifies what a pipeline withheld. Method: export there, import here.
#[test]
fn the_key_of_withheld_values_travels_from_one_home_to_another() {
    let (stage, _ledger) = Stage::with_release();
    stage
        .run("secret-key export prod/shop")
        .refuses(1, "SECRET_KEY");
    stage.write("app/.env", "PASSWORD=hunter2\n");
    // It may be made beforehand, once.
    stage
        .run("secret-key new prod/shop")
        .exits(0)
        .says("Key id");
    let first = stage.run("secret-key export prod/shop").exits(0).out;
    stage
        .run("secret-key new prod/shop")
        .refuses(1, "SECRET_KEY");
    stage.run("record prod/shop app").exits(0);
    assert_eq!(stage.run("secret-key export prod/shop").exits(0).out, first);
    let line = stage.run("secret-key export prod/shop").exits(0).out;
    let key = stage
        .run("secret-key export prod/shop --output json")
        .exits(0);
    let key = key.json("cairn.secret-key/v1");
    assert_eq!(key["environment"], "prod/shop");
    assert_eq!(key["key"], line.trim_end());

    stage.copy("home", "host");
    fs::remove_dir_all(stage.path("host/secrets")).unwrap();
    let host = |words: &[&str]| {
        let mut command = stage.command_of("host");
        crate::stage::Ran::of(command.args(words), &words.join(" "))
    };
    host(&["verify", "prod/shop", "app"])
        .exits(16)
        .says("UNVERIFIABLE")
        .says(".env");
    stage.write("key", &line);
    host(&["secret-key", "import", "prod/shop", "key"]).refuses(1, "KEY_FILE_LOOSE");
    fs::set_permissions(stage.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let imported = host(&[
        "secret-key",
        "import",
        "prod/shop",
        "key",
        "--output",
        "json",
    ]);
    let imported = imported.exits(0).json("cairn.secret-key/v1");
    assert!(
        imported.get("key").is_none(),
        "an import does not print the key"
    );
    host(&["verify", "prod/shop", "app"])
        .exits(0)
        .says("VERIFIED");

    stage
        .feed("secret-key import prod/shop -", line.as_bytes())
        .exits(0)
        .says("Imported");
    let other = format!("cairn-secret-key-v1:{}\n", "00".repeat(32));
    stage
        .feed("secret-key import prod/shop -", other.as_bytes())
        .refuses(1, "SECRET_KEY");
    stage
        .feed("secret-key import prod/new -", b"no key\n")
        .refuses(1, "SECRET_KEY");
    stage
        .feed("secret-key import prod/new -", &[b'0'; 10_000])
        .refuses(1, "SECRET_KEY");
}

/// Every command there is.
const COMMANDS: [&str; 29] = [
    "demo",
    "dev",
    "init",
    "serve",
    "record",
    "run",
    "verify",
    "rollback",
    "retire",
    "log",
    "show",
    "diff",
    "restore",
    "export",
    "audit",
    "repair",
    "status",
    "policy",
    "release",
    "history",
    "find",
    "watch",
    "witness",
    "key",
    "secret-key",
    "trust",
    "help",
    "completion",
    "man",
];

/// Goal: every code that can be printed is explained. Method: ask for each.
#[test]
fn help_explains_every_code_every_verdict_and_every_command() {
    let stage = Stage::new();
    for reason in Reason::ALL {
        let ran = stage.run_words(&["help", reason.code()]).exits(0);
        ran.says(reason.meaning())
            .says(reason.mend())
            .says("Exit code");
    }
    stage
        .run("help wrong-sequence")
        .exits(0)
        .says("WRONG_SEQUENCE");
    for verdict in ["DRIFT", "drift", "10"] {
        stage
            .run_words(&["help", verdict])
            .exits(0)
            .says("DRIFT")
            .says("Exit code  10");
    }
    let overview = stage.run("help").exits(0);
    for command in COMMANDS {
        assert!(
            overview.out.contains(&format!("\n  {command} ")),
            "{command}"
        );
        stage
            .run_words(&["help", command])
            .exits(0)
            .says(&format!("Usage: cairn {command}"));
    }
    stage
        .run("help trust add")
        .exits(0)
        .says("Usage: cairn trust add");
    stage
        .run("help recrod")
        .refuses(2, "USAGE")
        .says("`cairn help record`");
    stage
        .run("help WRONG_SEQENCE")
        .refuses(2, "USAGE")
        .says("`cairn help WRONG_SEQUENCE`");
}

/// Goal: shells and manual readers are served from the same table of commands.
#[test]
fn a_completion_and_manual_pages_are_written() {
    let stage = Stage::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        stage
            .run_words(&["completion", shell])
            .exits(0)
            .says("secret-key");
    }
    stage.run("man pages/man1").exits(0);
    assert!(stage.text("pages/man1/cairn-verify.1").contains("cairn"));
    assert!(stage.path("pages/man1/cairn-trust-add.1").exists());
    stage.write("file", "");
    stage.run("man file/man1").refuses(1, "PATH_UNREADABLE");
}

/// Goal: `cairn log | head` ends quietly, as any program does. Method: a pipe that nobody reads.
#[test]
fn a_reader_that_went_away_ends_it_quietly() {
    let (stage, _ledger) = Stage::with_release();
    for line in [
        "log",
        "completion bash",
        "help",
        "show prod/shop --output json",
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = stage.command();
        command.args(line.split_whitespace()).stdout(writer);
        let ended = command
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let ended = ended.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(141), "cairn {line}");
        assert!(ended.stderr.is_empty(), "cairn {line}");
    }
}
