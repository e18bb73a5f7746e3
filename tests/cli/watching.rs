//! `cairn watch`: owners learn of what others do.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{firm::Firm, stage::Stage};

/// The events of one run, in order.
fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .inspect(|event: &Value| assert_eq!(event["schema"], "cairn.event/v1"))
        .collect()
}

/// Name and environment, or version, of each event.
fn names(events: &[Value]) -> Vec<String> {
    let name = |event: &Value| {
        let what = event["environment"].as_str().map(str::to_owned);
        let what = what.or_else(|| event["version"].as_u64().map(|it| it.to_string()));
        format!(
            "{} {}",
            event["event"].as_str().unwrap(),
            what.unwrap_or_default()
        )
    };
    events.iter().map(name).collect()
}

/// Goal: an owner is told of each release to their environments, each use of their key and each
/// change of the policy, once and in order, over restarts. Method: three watches of one ledger.
#[test]
fn releases_keys_and_policies_are_told_once_and_in_order() {
    let firm = Firm::new(&[]);
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    let watch = |line: &str| {
        let ran = firm
            .run(&format!("watch --once --output json {line}"))
            .exits(0);
        events(&ran.out)
    };
    assert_eq!(names(&watch("--name all --from 0")), ["genesis "]);
    assert_eq!(
        watch("--name shop prod/shop"),
        [] as [Value; 0],
        "only what is new"
    );
    assert_eq!(watch("--name cd --key cd"), [] as [Value; 0]);

    firm.run("record prod/shop app").exits(0);
    firm.run("record prod/api app --key cd.pem").exits(0);
    firm.run("record prod/shop app --again --key cd.pem")
        .exits(0);
    let told = watch("--name all");
    let order = ["release prod/shop", "release prod/api", "release prod/shop"];
    assert_eq!(names(&told), order);
    assert_eq!(told[1]["signers"][0], "cd");
    assert!(told[0]["leafHash"].as_str().unwrap().len() == 64);
    assert_eq!(watch("--name all"), [] as [Value; 0], "told once");

    firm.run("policy revoke cd -o next.json").exits(0);
    firm.enact("next.json");
    let shop = watch("--name shop prod/shop");
    assert_eq!(
        names(&shop),
        ["release prod/shop", "release prod/shop", "policy 2"]
    );
    // The key is not in the policy any more: it is watched by the name it had, or by its id.
    let named = watch("--name named --key cd --from 0");
    let uses = ["release prod/api", "release prod/shop", "policy 2"];
    assert_eq!(names(&named), uses);
    let keyid = told[1]["keyids"][0].as_str().unwrap();
    let cd = watch(&format!("--name cd --key {keyid}"));
    assert_eq!(
        names(&cd),
        ["release prod/api", "release prod/shop", "policy 2"]
    );
    let lines = firm
        .run("watch --once --from 0 prod/api --name people")
        .exits(0);
    lines
        .says("release   index 4  prod/api#1")
        .says("by cd")
        .says("policy 2");
    firm.run("watch --once --key nobody").refuses(2, "USAGE");
    firm.run("watch --once --key ci --key nobody")
        .refuses(2, "USAGE");
}

/// Goal: no event is passed over because its command failed. Method: a command that fails for
/// the second event until it is mended.
#[test]
fn an_event_whose_command_fails_is_told_again_by_the_next_run() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    for environment in ["a", "b", "c"] {
        stage.run(&format!("record {environment} app")).exits(0);
    }
    let script = "cat > event; if grep -q '\"environment\":\"b\"' event && ! test -e mended; \
                  then exit 1; fi; cat event >> told";
    let exec = ["watch", "--once", "--from", "1", "--exec", script];
    let ran = stage.run_words(&exec);
    ran.refuses(1, "WATCH_COMMAND");
    assert_eq!(names(&events(&stage.text("told"))), ["release a"]);
    stage.write("mended", "");
    stage
        .run_words(&["watch", "--once", "--exec", script])
        .exits(0);
    let told = events(&stage.text("told"));
    assert_eq!(names(&told), ["release a", "release b", "release c"]);
    // One that does not read its input is no failure.
    stage
        .run_words(&["watch", "--once", "--from", "1", "--exec", "true"])
        .exits(0);
}

/// Goal: a ledger that went silent, and one that goes back, are events. Method: it is stopped;
/// then an older copy of it is served.
#[test]
fn a_silent_ledger_and_one_that_goes_back_are_told() {
    let (stage, ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.run("watch --once").exits(0);
    drop(ledger);
    stage.copy("data", "older");
    let ledger = stage.dev();
    stage.run("record a app").exits(0);
    drop(ledger);
    let mut watch = stage.command();
    watch.args(["watch", "--interval", "1", "--silent-after", "1", "--exec"]);
    let mut child = watch.arg("cat >> told; exit 0").spawn().unwrap();
    let end = Instant::now() + Duration::from_mins(1);
    while !stage.path("told").exists() || stage.text("told").is_empty() {
        assert!(Instant::now() < end, "silence was not told");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names(&events(&stage.text("told")))[0], "silent ");

    let _older = stage.dev_in("older");
    let ran = stage.run("watch --once --output json");
    assert!(
        matches!(ran.code, Some(13 | 14)),
        "{:?} {}",
        ran.code,
        ran.err
    );
    let told = events(&ran.out);
    assert_eq!(names(&told), ["alarm "]);
}

/// Goal: a web hook gets each event once, and none is passed over while it does not answer well.
/// Method: a hook that refuses, then takes; what it was sent.
#[test]
fn a_web_hook_gets_each_event_until_it_takes_it() {
    let (stage, _ledger) = Stage::with_release();
    let hook = Hook::start();
    let line = format!("watch --once --from 1 --webhook {}", hook.url);
    hook.answers(500);
    stage.run(&line).refuses(1, "WATCH_COMMAND");
    assert_eq!(hook.taken().len(), 3, "it was tried so often");
    hook.answers(204);
    let again = format!("watch --once --webhook {}", hook.url);
    stage.run(&again).exits(0);
    stage.run(&again).exits(0);
    let taken = hook.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let event: Value = serde_json::from_str(&taken[0]).unwrap();
    assert_eq!(event["schema"], "cairn.event/v1");
    assert_eq!(event["environment"], "prod/shop");
    assert!(
        event["text"].as_str().unwrap().contains("prod/shop#1"),
        "{event}"
    );
    stage
        .run("watch --once --webhook ftp://x")
        .refuses(2, "USAGE");
    stage
        .run("watch --once --webhook http://127.0.0.1:1 --exec true")
        .exits(2);
}

/// What takes events by HTTP.
struct Hook {
    url: String,
    state: Arc<Mutex<(u16, Vec<String>)>>,
}

impl Hook {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new((200, Vec::new())));
        let shared = state.clone();
        // It ends with the process: nothing waits for it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let (mut line, mut length) = (String::new(), 0);
                while line != "\r\n" {
                    line.clear();
                    if reader.read_line(&mut line).unwrap_or(0) == 0 {
                        break;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                if reader.read_exact(&mut body).is_err() {
                    continue;
                }
                let mut shared = shared.lock().unwrap();
                shared.1.push(String::from_utf8(body).unwrap());
                let head = format!(
                    "HTTP/1.1 {} So\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    shared.0
                );
                let _ = (&stream).write_all(head.as_bytes());
            }
        });
        Self { url, state }
    }

    fn answers(&self, status: u16) {
        self.state.lock().unwrap().0 = status;
    }

    /// What it was sent since this was asked last.
    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().1)
    }
}
