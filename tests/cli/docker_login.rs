//! Registries that want to know who asks: by password, by the token of a token server, by what a
//! helper knows; and those that would like to know more than they may.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::Command,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    docker::with_images,
    docker_hostile::lies,
    stage::{Ran, Stage},
    support::docker::{Registry, Reply, false_server, has_tools, run},
};

const PASSWORD: &str = "tr0ub4dor";
/// Of that password, by bcrypt.
const HASHED: &str = "$2b$05$abcdefghijklmnopqrstuuG46VdGlZM7MD48578yjdzjFxYU4ZcC2";

fn basic(user: &str, password: &str) -> String {
    STANDARD.encode(format!("{user}:{password}"))
}

fn keep(stage: &Stage, kept: &Value) {
    stage.write("auth.json", kept.to_string());
}

/// Goal: what `skopeo login` keeps is enough for a registry that wants a password, and nothing
/// of it is recorded or said. Method: a real registry with a file of passwords, and skopeo.
#[test]
fn what_a_login_keeps_lets_in() {
    let tools = ["skopeo", "umoci", "docker-registry"];
    if !has_tools("a registry with passwords", &tools) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    stage.write("htpasswd", format!("ann:{HASHED}\n"));
    let passwords = stage.path("htpasswd");
    let more = format!(
        "auth:\n  htpasswd:\n    realm: here\n    path: {}\n",
        passwords.display()
    );
    let registry = Registry::start_with(&folder, &more);
    let address = &registry.address;
    let shop = format!("{address}/team/shop:1");
    let options = format!("-q --dest-tls-verify=false --dest-creds ann:{PASSWORD}");
    run(
        &folder,
        &format!("skopeo copy {options} oci:oci:1 docker://{shop}"),
    );

    let record = format!("record prod --docker=live:{shop}");
    let size = stage.size();
    stage
        .run(&record)
        .refuses(4, "SOURCE_DENIED")
        .says(&format!("none are kept for {address}"));
    keep(
        &stage,
        &json!({ "auths": { address: { "auth": basic("ann", "guessed") } } }),
    );
    let refused = stage.run(&record).refuses(4, "SOURCE_DENIED");
    refused.says("does not let in whom").says("auth.json");
    assert_eq!(stage.size(), size, "nothing was recorded");

    fs::remove_file(stage.path("auth.json")).unwrap();
    let file = stage.path("auth.json").display().to_string();
    let login =
        format!("skopeo login --tls-verify=false --authfile {file} -u ann -p {PASSWORD} {address}");
    run(&folder, &login);
    stage.run(&record).exits(0).says("1 object");
    let verify = format!("verify prod --docker=live:{shop}");
    stage.run(&verify).exits(0).says("1 of 1 object");
    stage.keeps_nowhere(PASSWORD, "sha256:");
    stage.keeps_nowhere(&basic("ann", PASSWORD), "sha256:");
}

/// A certificate for this machine, and the authority that signed it.
fn certify(stage: &Stage) {
    stage.write("san", "subjectAltName=IP:127.0.0.1\n");
    let ca = "-subj /CN=Authority -addext basicConstraints=critical,CA:TRUE";
    let ec = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for line in [
        format!("openssl req -x509 {ec} {ca} -keyout ca.key -out ca.crt -days 2"),
        format!("openssl req {ec} -subj /CN=registry -keyout own.key -out own.csr"),
        "openssl x509 -req -in own.csr -CA ca.crt -CAkey ca.key -days 2 -extfile san -out own.crt"
            .to_owned(),
    ] {
        run(&stage.path(""), &line);
    }
}

/// Goal: a registry whose certificate is of an authority of one's own is believed where that
/// stands in `certs.d`, and not otherwise. Method: a real registry that speaks TLS alone.
#[test]
fn an_authority_of_ones_own_is_accepted_where_it_is_kept() {
    let tools = ["skopeo", "umoci", "docker-registry", "openssl"];
    if !has_tools("a registry with TLS", &tools) {
        return;
    }
    let (stage, _ledger) = with_images();
    let folder = stage.path("");
    certify(&stage);
    let [certificate, key] = ["own.crt", "own.key"].map(|it| stage.path(it).display().to_string());
    let more = format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
    let registry = Registry::start_with(&folder, &more);
    let shop = format!("{}/team/shop:1", registry.address);
    let copy = "skopeo copy -q --dest-tls-verify=false oci:oci:1";
    run(&folder, &format!("{copy} docker://{shop}"));

    let record = || {
        let mut command = stage.command();
        let docker = format!("--docker=live:{shop}");
        command
            .args(["record", "prod", &docker])
            .env("HOME", stage.path("own"));
        Ran::of(&mut command, "record over TLS")
    };
    // Without it, what is on this machine is spoken to in the clear, and this does not listen.
    record().refuses(1, "SOURCE_INVALID");
    let kept = format!("own/.config/containers/certs.d/{}", registry.address);
    stage.write(&format!("{kept}/ca.crt"), "no certificate");
    record().refuses(1, "TOOL_FAILED").says("ca.crt");
    stage.write(&format!("{kept}/ca.crt"), stage.text("ca.crt"));
    record().exits(0).says("1 object");
    certify(&stage);
    stage.write(&format!("{kept}/ca.crt"), stage.text("ca.crt"));
    record().refuses(3, "UNREACHABLE").says("certificate");
}

/// What was asked of a token server, one after the other.
type Heard = Arc<Mutex<Vec<String>>>;

/// A registry of one sound image that wants a token, and its token server, which gives one to
/// whom `lets` lets in. What the repository's name says is where it sends for tokens.
fn with_tokens(lets: impl Fn(&str) -> Reply + Send + Sync + 'static) -> (String, Heard) {
    let heard = Heard::default();
    let notes = Arc::clone(&heard);
    let own = Arc::new(Mutex::new(String::new()));
    let address = Arc::clone(&own);
    let server = false_server(move |path, request| {
        if path.starts_with("/token") {
            notes.lock().unwrap().push(request.to_owned());
            return lets(request);
        }
        if request
            .to_lowercase()
            .contains("authorization: bearer good\r\n")
        {
            return lies(path);
        }
        let realm = if path.contains("/elsewhere/") {
            "http://169.254.169.254/token".to_owned()
        } else {
            format!("http://{}/token?account=a%20b", address.lock().unwrap())
        };
        let mut reply = Reply::of("401 Unauthorized", "application/json", "{}");
        let demand = format!(
            "Basic realm=\"x\", Bearer realm=\"{realm}\",service=\"the registry\",\
             scope=\"repository:team/shop:pull\""
        );
        reply.headers.push(("WWW-Authenticate", demand));
        reply
    });
    *own.lock().unwrap() = server.to_string();
    (server.to_string(), heard)
}

fn grants() -> Reply {
    Reply::json(&json!({ "token": "good", "expires_in": 300 }))
}

fn denies() -> Reply {
    Reply::of("401 Unauthorized", "application/json", "{}")
}

/// Goal: a token server is asked as the registry says, with the user's proof where there is one,
/// and its token opens the registry, once for all requests. Method: a stand-in that notes what
/// it is asked; nobody, a password and an identity token, one after the other.
#[test]
fn a_token_server_is_asked_for_what_the_registry_demands() {
    let (stage, _ledger) = Stage::with_ledger();
    let (address, heard) = with_tokens(|_| grants());
    let record = |name: &str| {
        stage.run(&format!(
            "record {name} --docker=live:{address}/team/shop:1"
        ))
    };
    let asked = || std::mem::take(&mut *heard.lock().unwrap());

    record("nobody").exits(0);
    let all = asked();
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].starts_with("GET /token?account=a%20b&"), "{all:?}");
    assert!(all[0].contains("service=the%20registry"), "{all:?}");
    assert!(
        all[0].contains("scope=repository%3Ateam%2Fshop%3Apull"),
        "{all:?}"
    );
    assert!(!all[0].to_lowercase().contains("authorization"), "{all:?}");

    let both = basic("ann", PASSWORD);
    keep(
        &stage,
        &json!({ "auths": {
        "other.example": { "auth": basic("ann", "another") },
        format!("https://{address}/v1/"): { "auth": both },
    } }),
    );
    record("password").exits(0);
    let all = asked();
    assert!(
        all[0].to_lowercase().contains("authorization: basic"),
        "{all:?}"
    );
    assert!(all[0].contains(&both), "{all:?}");

    // A repository's own entry comes before its registry's.
    keep(
        &stage,
        &json!({ "auths": {
        &address: { "auth": both },
        format!("{address}/team"): { "auth": "", "identitytoken": "it is I" },
    } }),
    );
    record("identity").exits(0);
    let all = asked();
    assert!(all[0].starts_with("POST /token"), "{all:?}");
    assert!(all[0].contains("grant_type=refresh_token"), "{all:?}");
    assert!(all[0].contains("refresh_token=it%20is%20I"), "{all:?}");
}

/// Goal: a helper's answer is as good as what stands in the file, and a helper that is not there,
/// or is named by a path, is said. Method: a helper of the test's own, beside the same stand-in.
#[test]
fn a_helper_is_asked_for_the_registry() {
    let (stage, _ledger) = Stage::with_ledger();
    let (address, heard) = with_tokens(|_| grants());
    let record = |name: &str| {
        stage.run(&format!(
            "record {name} --docker=live:{address}/team/shop:1"
        ))
    };
    let helper = stage.path("bin/docker-credential-vault");
    let script = format!(
        "#!/bin/sh\nread -r server\n[ \"$1 $server\" = 'get {address}' ] || exit 1\n\
         echo '{{\"ServerURL\":\"x\",\"Username\":\"eve\",\"Secret\":\"from-helper\"}}'\n"
    );
    stage.write("bin/docker-credential-vault", script);
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    keep(
        &stage,
        &json!({ "auths": { &address: {} }, "credsStore": "vault" }),
    );
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", stage.path("bin").display());
    let mut command: Command = stage.command();
    let shop = format!("--docker=live:{address}/team/shop:1");
    command.args(["record", "helper", &shop]).env("PATH", path);
    Ran::of(&mut command, "record by a helper").exits(0);
    let all = heard.lock().unwrap().clone();
    assert!(all[0].contains(&basic("eve", "from-helper")), "{all:?}");

    // Nobody may do what somebody could not be found for.
    keep(&stage, &json!({ "credHelpers": { &address: "nowhere" } }));
    record("nobody").exits(0);
    let (address, _) = with_tokens(|_| denies());
    let record = |name: &str| {
        stage.run(&format!(
            "record {name} --docker=live:{address}/team/shop:1"
        ))
    };
    keep(&stage, &json!({ "credHelpers": { &address: "nowhere" } }));
    record("missing")
        .refuses(1, "TOOL_MISSING")
        .says("docker-credential-nowhere");
    keep(&stage, &json!({ "credHelpers": { &address: "../sh" } }));
    record("path").refuses(1, "SOURCE_INVALID");
}

/// Goal: who is not let in is told so, once; a token server that lies is refused; and a registry
/// gets nobody's password sent elsewhere. Method: stand-ins that do each.
#[test]
fn a_token_server_that_refuses_lies_or_is_elsewhere_is_refused() {
    let (stage, _ledger) = Stage::with_ledger();
    let size = stage.size();
    let record = |address: &str, path: &str| {
        stage.run(&format!(
            "record prod --docker=live:{address}/{path}/shop:1"
        ))
    };
    let (address, heard) = with_tokens(|_| denies());
    let refused = record(&address, "team").refuses(4, "SOURCE_DENIED");
    refused.says("none are kept");
    keep(
        &stage,
        &json!({ "auths": { &address: { "auth": basic("ann", PASSWORD) } } }),
    );
    let refused = record(&address, "team").refuses(4, "SOURCE_DENIED");
    refused
        .says("does not let in whom")
        .never_says(PASSWORD)
        .never_says(&basic("ann", PASSWORD));
    assert_eq!(heard.lock().unwrap().len(), 2, "each was asked once");
    record(&address, "elsewhere")
        .refuses(1, "SOURCE_INVALID")
        .says("asks for tokens of http://169.254.169.254");

    for (answer, code, reason) in [
        ("{}", 1, "SOURCE_INVALID"),
        ("<html>", 1, "SOURCE_INVALID"),
        ("{\"token\":\"a\\r\\nHost: b\"}", 1, "SOURCE_INVALID"),
        // It opens nothing.
        ("{\"token\":\"bad\"}", 4, "SOURCE_DENIED"),
    ] {
        let (address, heard) =
            with_tokens(move |_| Reply::of("200 OK", "application/json", answer));
        record(&address, "team").refuses(code, reason);
        assert_eq!(
            heard.lock().unwrap().len(),
            1,
            "{answer}: it was asked once"
        );
    }
    let (address, _) = with_tokens(|_| Reply::of("503 Service Unavailable", "text/plain", ""));
    record(&address, "team").refuses(3, "UNREACHABLE");

    let (address, _) = with_tokens(|_| denies());
    for kept in ["{\"auths\": \"s3cret\"}", "not JSON"] {
        stage.write("auth.json", kept);
        let refused = record(&address, "team").refuses(1, "SOURCE_INVALID");
        refused.says("auth.json").never_says("s3cret");
    }
    keep(
        &stage,
        &json!({ "auths": { &address: { "auth": "czNjcmV0" } } }),
    );
    let refused = record(&address, "team").refuses(1, "SOURCE_INVALID");
    refused.says("no name and password").never_says("czNjcmV0");
    assert_eq!(stage.size(), size, "nothing was recorded");
}
