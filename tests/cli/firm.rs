//! A firm whose policy is changed by two admins, from the command line.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::hash::KeyId;
use serde_json::Value;

use crate::{
    production::{grant, serve, with_token},
    stage::{Ledger, Ran, Stage},
};

/// A served ledger with two admins who must both sign, and deployers `ci`, `cd` and `qa`.
pub(crate) struct Firm {
    pub(crate) stage: Stage,
    ledger: Option<Ledger>,
    url: String,
    genesis: String,
}

impl Firm {
    pub(crate) fn new(rules: &[&str]) -> Self {
        let stage = Stage::new();
        let key = |name: &str| {
            let made = stage
                .run(&format!("key new {name}.pem --output json"))
                .exits(0);
            let made = made.json("cairn.key/v1");
            made["public"].as_str().unwrap().to_owned()
        };
        key("alice");
        key("bob");
        key("mallory");
        let deployers = ["ci", "cd", "qa"].map(|name| format!("{name}={}:prod/**", key(name)));
        let line = "init --origin ledger.example/firm --data server --admin alice=alice.pem \
                    --admin bob=bob.pem --threshold 2 --listen 127.0.0.1:0 --output json";
        let mut words: Vec<&str> = line.split_whitespace().collect();
        for deployer in &deployers {
            words.extend(["--deployer", deployer.as_str()]);
        }
        words.extend(rules);
        let made = stage.run_words(&words).exits(0).json("cairn.init/v1");
        grant(&stage);
        let ledger = serve(&stage);
        let genesis = made["genesis"].as_str().unwrap().to_owned();
        with_token(&stage, &genesis, &ledger.url);
        Self {
            stage,
            url: ledger.url.clone(),
            ledger: Some(ledger),
            genesis,
        }
    }

    pub(crate) fn run(&self, line: &str) -> Ran {
        self.stage.run(line)
    }

    /// Signed by both admins and sent.
    pub(crate) fn enact(&self, file: &str) {
        for admin in ["alice", "bob"] {
            self.run(&format!("policy sign {file} --key {admin}.pem --yes"))
                .exits(0);
        }
        self.run(&format!("policy submit {file}")).exits(0);
    }

    pub(crate) fn policy(&self) -> Value {
        let shown = self.run("policy show --output json").exits(0);
        shown.json("cairn.policy-show/v1")["policy"].clone()
    }

    pub(crate) fn propose(&self, policy: &Value) -> Ran {
        self.stage.write("edited.json", policy.to_string());
        self.run("policy propose edited.json -o next.json")
    }

    /// What the head of the log is, by index.
    pub(crate) fn next_index(&self) -> u64 {
        let log = self.run("log -n 1 --output json").exits(0);
        log.json("cairn.log/v1")["entries"][0]["index"]
            .as_u64()
            .unwrap()
            + 1
    }

    /// Where it is served.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What to pin.
    pub(crate) fn genesis(&self) -> &str {
        &self.genesis
    }

    /// Stops the server.
    pub(crate) fn stop(&mut self) {
        self.ledger = None;
    }

    /// The same program as somebody who never saw this ledger.
    pub(crate) fn as_host(&self, home: &str, words: &str) -> Ran {
        let mut command = self.stage.command_of(home);
        Ran::of(command.args(words.split_whitespace()), words)
    }

    /// Somebody with a home, a key and the token.
    pub(crate) fn person(&self, home: &str, key: &str) {
        self.person_at(self.url(), home, key);
    }

    /// The same, who reaches the ledger elsewhere.
    pub(crate) fn person_at(&self, url: &str, home: &str, key: &str) {
        let genesis = &self.genesis;
        let words = format!(
            "trust add {url} --name firm --genesis {genesis} --key {key} --token-file token"
        );
        self.as_host(home, &words).exits(0);
    }

    /// A deployer's keyid.
    pub(crate) fn deployer(&self, name: &str) -> KeyId {
        let policy = self.policy();
        let mut deployers = policy["deployers"].as_array().unwrap().iter();
        let deployer = deployers.find(|it| it["name"] == name).unwrap();
        let key = STANDARD.decode(deployer["key"].as_str().unwrap()).unwrap();
        KeyId::of(&key.try_into().unwrap())
    }

    pub(crate) fn host(&self, home: &str) {
        let url = self.url();
        let words = format!("trust add {url} --name firm --genesis {}", self.genesis);
        self.as_host(home, &words).exits(0);
    }
}
