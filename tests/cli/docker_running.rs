//! What runs: containers and images of a stand-in for Docker's socket, which the real command
//! line asks. A real daemon is tried in [`crate::docker_daemon`].

use serde_json::{Value, json};

use crate::{
    docker::object,
    stage::{Ledger, Ran, Stage},
    support::docker::{Socket, build, has_tools, run},
};

pub(crate) const SECRET: &str = "hunter2-planted";

fn digest(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

/// A container as Docker's API shows it.
fn container(name: &str, image: &str) -> Value {
    json!({
        "Id": name.repeat(64).get(..64).unwrap(),
        "Created": "2026-11-28T10:19:57.1Z",
        "Path": "/srv/run", "Args": ["--password", SECRET],
        "State": { "Status": "running", "Running": true, "Pid": 4711, "ExitCode": 0 },
        "Image": image,
        "ResolvConfPath": "/x", "HostnamePath": "/x", "HostsPath": "/x", "LogPath": "/x",
        "Name": format!("/{name}"),
        "RestartCount": 0, "Driver": "vfs", "Platform": "linux", "MountLabel": "",
        "ProcessLabel": "", "AppArmorProfile": "", "ExecIDs": null,
        "HostConfig": {
            "Binds": ["/etc/shop:/etc/shop:ro"], "ContainerIDFile": "",
            "LogConfig": { "Type": "splunk", "Config": { "splunk-token": SECRET } },
            "NetworkMode": "bridge", "PortBindings": { "80/tcp": [{ "HostIp": "", "HostPort": "8080" }] },
            "RestartPolicy": { "Name": "always", "MaximumRetryCount": 0 },
            "AutoRemove": false, "CapAdd": ["NET_BIND_SERVICE", "CHOWN"], "CapDrop": null,
            "Privileged": false, "ReadonlyRootfs": true, "SecurityOpt": null,
        },
        "GraphDriver": { "Data": null, "Name": "vfs" },
        "Mounts": [
            { "Type": "bind", "Source": "/etc/shop", "Destination": "/etc/shop", "Mode": "ro",
              "RW": false, "Propagation": "rprivate" },
            { "Type": "volume", "Name": "f".repeat(64), "Source": "/var/lib/docker/volumes/x",
              "Destination": "/var/cache", "Driver": "local", "Mode": "", "RW": true,
              "Propagation": "" },
        ],
        "Config": {
            "Hostname": name.repeat(12).get(..12).unwrap(), "Domainname": "", "User": "1000",
            "AttachStdin": false, "ExposedPorts": { "80/tcp": {} }, "Tty": false,
            "Env": [format!("DB_PASS={SECRET}"), "PATH=/bin"],
            "Cmd": ["--password", SECRET, "--port=80"], "Entrypoint": ["/srv/run"],
            "Image": "shop:1", "Volumes": null, "WorkingDir": "/srv", "OnBuild": null,
            "Labels": { "traefik.auth": SECRET },
        },
        "NetworkSettings": { "Ports": { "80/tcp": [{ "HostIp": "0.0.0.0", "HostPort": "8080" }] },
            "Networks": { "bridge": { "IPAddress": "172.17.0.2" } } },
    })
}

fn image(id: &str, names: &[String]) -> Value {
    json!({
        "Id": id, "RepoTags": ["shop:1"], "RepoDigests": names, "Os": "linux",
        "Architecture": "amd64", "RootFS": { "Type": "layers" },
    })
}

/// A ledger, and a stand-in for Docker's socket.
struct Bench {
    stage: Stage,
    socket: Socket,
    _ledger: Ledger,
}

impl Bench {
    fn new() -> Self {
        let (stage, ledger) = Stage::with_ledger();
        let socket = Socket::start(&stage.path(""));
        Self {
            stage,
            socket,
            _ledger: ledger,
        }
    }

    /// From now on these are there, and their images are known by no other name.
    fn has(&self, containers: &[Value]) {
        let ids = containers.iter().map(|it| it["Image"].as_str().unwrap());
        let images: Vec<_> = ids.map(|id| image(id, &[])).collect();
        self.socket.has(containers, &images);
    }

    fn run(&self, line: &str) -> Ran {
        with_host(&self.stage, &self.socket.host(), line)
    }
}

pub(crate) fn with_host(stage: &Stage, host: &str, line: &str) -> Ran {
    let mut command = stage.command();
    let command = command.args(line.split_whitespace());
    Ran::of(command.env("DOCKER_HOST", host), line)
}

/// The paths of all differences, sorted.
fn paths(ran: &Ran) -> Vec<(String, String)> {
    let report = ran.json("cairn.verify/v1");
    let differences = report["differences"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut paths: Vec<_> = differences
        .iter()
        .map(|it| (text(&it["path"]), text(&it["kind"])))
        .collect();
    paths.sort();
    paths
}

/// A bench on which the container `a` runs and is recorded for `prod`.
fn recorded(test: &str) -> Option<(Bench, Value)> {
    if !has_tools(test, &["docker"]) {
        return None;
    }
    let bench = Bench::new();
    let web = container("a", &digest("1"));
    let mut stopped = container("b", &digest("1"));
    stopped["State"]["Status"] = json!("exited");
    bench.run("record prod --docker").refuses(1, "PATH_EMPTY");
    bench.has(&[web.clone(), stopped]);
    bench.run("record prod --docker").exits(0).says("1 object");
    Some((bench, web))
}

/// Goal: a container is recorded by its fields, and none of its secrets leaves; made again as it
/// was, it is the same. Method: the real command line, asking a stand-in.
#[test]
fn a_container_is_recorded_by_its_fields() {
    let Some((bench, _)) = recorded("a container") else {
        return;
    };
    let verified = bench.run("verify prod --docker").exits(0);
    verified.says("runtime-reported");
    bench.stage.keeps_nowhere(SECRET, "sha256:");
    let recorded = object(&bench.stage, "prod", "docker/container/a");
    assert_eq!(recorded["config"]["user"], "1000");
    assert_eq!(recorded["config"]["cmd"][2], "--port=80");
    assert_eq!(recorded["mounts"][0]["rw"], false);
    assert!(recorded["mounts"][1].get("source").is_none(), "{recorded}");
    assert!(recorded["config"].get("hostname").is_none(), "{recorded}");
    assert!(recorded.get("id").is_none() && recorded.get("Created").is_none());

    let mut again = container("c", &digest("1"));
    again["Name"] = json!("/a");
    again["State"]["Pid"] = json!(1);
    again["Mounts"][1]["Name"] = json!("e".repeat(64));
    again["HostConfig"]["CapAdd"] = json!(["CHOWN", "NET_BIND_SERVICE"]);
    again["HostConfig"]["CapDrop"] = json!([]);
    again["Mounts"].as_array_mut().unwrap().reverse();
    bench.has(&[again]);
    bench.run("verify prod --docker").exits(0);
}

/// Goal: each change is named by its field alone, and no value that is withheld is shown.
/// Method: one change at a time, and two fields that were not there.
#[test]
fn a_container_that_changed_is_told_by_its_fields() {
    let Some((bench, web)) = recorded("a changed container") else {
        return;
    };
    let host = |name: &str| format!("/HostConfig/{name}");
    let steps = [
        ("/Config/User".into(), json!("root"), "config.user"),
        (
            "/Config/Env/0".into(),
            json!("DB_PASS=b"),
            "config.env.DB_PASS",
        ),
        ("/Config/Cmd/1".into(), json!("other"), "config.cmd[1]"),
        (
            "/Config/Entrypoint/0".into(),
            json!("/bin/sh"),
            "config.entrypoint[0]",
        ),
        ("/Image".into(), json!(digest("2")), "image.config"),
        (host("Privileged"), json!(true), "hostConfig.privileged"),
        (
            host("LogConfig/Type"),
            json!("none"),
            "hostConfig.logConfig",
        ),
        ("/Mounts/0/RW".into(), json!(true), "mounts[/etc/shop].rw"),
        ("/State/Status".into(), json!("exited"), "state"),
    ];
    for (pointer, value, path) in steps {
        let mut other = web.clone();
        *other.pointer_mut(&pointer).unwrap() = value;
        bench.has(&[other]);
        let ran = bench.run("verify prod --docker --output json").exits(10);
        assert_eq!(paths(&ran), [(path.to_owned(), "changed".to_owned())]);
        assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET));
    }
    let mut more = web.clone();
    more["HostConfig"]["Sysctls"] = json!({ "net.ipv4.ip_forward": "1" });
    let env = more["Config"]["Env"].as_array_mut().unwrap();
    env.push(json!("DEBUG=1"));
    bench.has(&[more]);
    let ran = bench.run("verify prod --docker --output json").exits(10);
    let added = |path: &str| (path.to_owned(), "added".to_owned());
    let both = [added("config.env.DEBUG"), added("hostConfig.sysctls")];
    assert_eq!(paths(&ran), both);
}

/// Goal: a container that nobody recorded is drift, and going back to the recorded one is
/// verified. Method: another image, recorded, and gone back from.
#[test]
fn another_image_is_drift_and_a_rollback_is_verified() {
    let Some((bench, web)) = recorded("a container of another image") else {
        return;
    };
    bench.run("verify prod --docker").exits(0).says("prod#1");
    bench.has(&[container("a", &digest("2"))]);
    let ran = bench.run("verify prod --docker --output json").exits(10);
    let path = "image.config".to_owned();
    assert_eq!(paths(&ran), [(path, "changed".to_owned())]);
    bench.run("record prod --docker").exits(0);
    bench.run("verify prod --docker").exits(0).says("prod#2");
    let ran = bench.run("rollback prod prod#1").exits(0);
    ran.says(&format!("docker run, of {}", digest("1")));
    let ran = bench.run("verify prod --docker").exits(15);
    ran.says("what is here is prod#2");
    bench.has(&[web]);
    bench.run("verify prod --docker").exits(0).says("prod#3");
}

/// Goal: what runs beside what was recorded was added, what does not run is missing, and a
/// daemon that does not answer proves nothing. Method: each in turn.
#[test]
fn containers_come_and_go_and_the_daemon_too() {
    let Some((bench, web)) = recorded("containers that come and go") else {
        return;
    };
    bench.has(&[web, container("b", &digest("1"))]);
    let ran = bench.run("verify prod --docker").exits(10);
    ran.says("docker/container/b  is not recorded");
    bench.has(&[]);
    let ran = bench.run("verify prod --docker").exits(10);
    ran.says("is missing");
    let gone = format!("unix://{}", bench.stage.path("nowhere.sock").display());
    for line in ["verify prod --docker", "record other --docker"] {
        with_host(&bench.stage, &gone, line).refuses(3, "UNREACHABLE");
    }
}

/// Goal: what `docker inspect` printed is as good as asking, from a file and on standard
/// input; what is not of that shape is refused. Method: the same document both ways.
#[test]
fn what_docker_inspect_printed_is_recorded_and_compared() {
    let (stage, _ledger) = Stage::with_ledger();
    let web = container("a", &digest("1"));
    stage.write("inspect.json", json!([web]).to_string());
    stage.run("record prod --docker=inspect.json").exits(0);
    let text = stage.text("inspect.json");
    stage
        .feed("verify prod --docker=-", text.as_bytes())
        .exits(0);
    let changed = text.replace("\"1000\"", "\"0\"");
    stage
        .feed("verify prod --docker=-", changed.as_bytes())
        .exits(10)
        .says("config.user  recorded 1000  found 0");
    // Without the key a value is unknown, and that is never a match.
    std::fs::remove_dir_all(stage.home().join("secrets")).unwrap();
    stage.run("verify prod --docker=inspect.json").exits(16);
    let size = stage.size();
    for (document, why) in [
        ("{\"a\":1}", "neither a container nor an image"),
        ("[{\"Config\":{},\"State\":{}}]", "no Name"),
        ("[{\"Config\":{},\"State\":{},\"Name\":\"/a\"}]", "no Image"),
        ("[{\"Config\":{},\"Config\":{}}]", "stands twice"),
        ("[1", "neither an archive nor JSON"),
        ("sha256:12", "neither an archive nor JSON"),
    ] {
        stage.write("wrong.json", document);
        stage
            .run("record bad --docker=wrong.json")
            .refuses(1, "SOURCE_INVALID")
            .says(why);
    }
    let twice = text.replace("\"PATH=/bin\"", "\"DB_PASS=b\"");
    stage
        .feed("record bad --docker=-", twice.as_bytes())
        .refuses(1, "SOURCE_INVALID")
        .says("the variable DB_PASS is there twice");
    assert_eq!(stage.size(), size, "nothing was recorded");
}

/// Goal: an image that was recorded is found by the configuration of what runs; another one in
/// its place is named by that. Method: a release of an image alone, and containers of each sort.
#[test]
fn a_running_image_is_matched_by_its_configuration() {
    let tools = ["docker", "skopeo", "umoci"];
    if !has_tools("running images", &tools) {
        return;
    }
    let bench = Bench::new();
    let folder = bench.stage.path("");
    build(&folder, "1", "one", "--config.user 1000");
    let line = "skopeo copy -q oci:oci:1 docker-archive:shop.tar:shop:1";
    run(&folder, line);
    bench.run("record prod --docker=shop.tar").exits(0);
    let recorded = object(&bench.stage, "prod", "docker/image/shop:1");
    let config = recorded["platforms"][0]["config"].as_str().unwrap();

    bench.has(&[container("a", config)]);
    let ran = bench.run("verify prod --docker").exits(0);
    ran.says("runtime-reported");
    bench.has(&[container("a", &digest("2"))]);
    let ran = bench.run("verify prod --docker --output json").exits(10);
    let found = paths(&ran);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(found[0], (String::new(), "added".into()), "the container");
    let image = "platforms[linux/amd64].config";
    assert_eq!(found[1], (image.to_owned(), "changed".to_owned()));
    bench.has(&[]);
    let ran = bench.run("verify prod --docker").exits(10);
    ran.says("is missing");
    // With containerd's store an id is that of a manifest, and nothing is known of it.
    let mut other = container("a", config);
    other["ImageManifestDescriptor"] = json!({ "digest": digest("7") });
    bench.has(&[other]);
    let ran = bench.run("verify prod --docker").exits(16);
    ran.says("no digest is of a kind");
}

/// Goal: where only the digest of an index or a manifest is recorded, an image is found by what
/// it was pulled by; kinds that cannot be compared are no match and no drift. Method: what
/// buildx states, and images from its repository and from others.
#[test]
fn a_running_image_is_matched_by_what_it_was_pulled_by() {
    if !has_tools("pulled images", &["docker"]) {
        return;
    }
    let bench = Bench::new();
    let name = "reg.example/shop:1";
    let metadata = json!({ "containerimage.digest": digest("9"), "image.name": name });
    bench.stage.write("build.json", metadata.to_string());
    bench.run("record prod --docker=build.json").exits(0);
    let has = |container: Value, pulled: &[String]| {
        let image = image(container["Image"].as_str().unwrap(), pulled);
        bench.socket.has(&[container], &[image]);
    };
    let pulled = |name: &str, digit: &str| [format!("{name}@{}", digest(digit))];
    for (names, exit) in [
        (pulled("reg.example/shop", "9"), 0),
        (pulled("mirror.example/copy", "9"), 0),
        (pulled("mirror.example/copy", "8"), 16),
    ] {
        has(container("a", &digest("1")), &names);
        bench.run("verify prod --docker").exits(exit);
    }
    let mut moved = container("a", &digest("1"));
    moved["Config"]["Image"] = json!(name);
    has(moved, &pulled("reg.example/shop", "8"));
    let ran = bench.run("verify prod --docker").exits(10);
    ran.says("docker/image/reg.example%2Fshop:1  digest");
    let mut by_manifest = container("a", &digest("9"));
    by_manifest["ImageManifestDescriptor"] = json!({ "digest": digest("7") });
    has(by_manifest, &[]);
    bench.run("verify prod --docker").exits(0);
}
