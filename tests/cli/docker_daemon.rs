//! A real Docker daemon, where one starts: it wants rights that not every machine gives.

use crate::{
    docker_running::{SECRET, with_host},
    kept::holds,
    stage::{Ledger, Stage},
    support::{
        docker::{Daemon, build, has_tools, run},
        tools::skipped,
    },
};

/// A daemon that has the image `shop:1`, which is in `shop.tar` as well.
fn with_daemon() -> Option<(Stage, Ledger, Daemon)> {
    let tools = ["dockerd", "docker", "skopeo", "umoci", "busybox"];
    if !has_tools("a Docker daemon", &tools) {
        return None;
    }
    let (stage, ledger) = Stage::with_ledger();
    let folder = stage.path("");
    let daemon = Daemon::start("a Docker daemon", &folder)?;
    let config = format!("--config.env DB_PASS={SECRET}");
    build(&folder, "1", "one", &config);
    let busybox = run(&folder, "which busybox");
    let line = format!("umoci insert --image oci:1 {} /bin/busybox", busybox.trim());
    run(&folder, &line);
    let line = "skopeo copy -q oci:oci:1 docker-archive:shop.tar:shop:1";
    run(&folder, line);
    daemon.docker(&format!("load -i {}", folder.join("shop.tar").display()));
    Some((stage, ledger, daemon))
}

/// Makes the container `web` again; whether it could be started.
fn start(daemon: &Daemon, more: &str) -> bool {
    daemon.try_docker("rm -f web");
    let line = format!("run -d --name web --network none {more} shop:1 /bin/busybox sleep 600");
    daemon.docker("version");
    let (done, said) = daemon.try_docker(&line);
    if !done {
        skipped("a container", &said);
    }
    done
}

/// Goal: it holds for Docker as it is. Method: a daemon of its own runs an image from an archive
/// that it saved itself, and containers that are made again, changed and stopped.
#[test]
fn what_a_real_daemon_runs_is_verified() {
    let Some((stage, _ledger, daemon)) = with_daemon() else {
        return;
    };
    let same = "--user 0 -e TOKEN=planted-token";
    if !start(&daemon, same) {
        return;
    }
    let saved = stage.path("saved.tar");
    daemon.docker(&format!("save -o {} shop:1", saved.display()));
    let cairn = |line: &str| with_host(&stage, &daemon.host, line);
    cairn("record image --docker=saved.tar").exits(0);
    let ran = cairn("verify image --docker").exits(0);
    ran.says("runtime-reported");
    cairn("verify image --docker=shop.tar").exits(0);
    cairn("record prod --docker").exits(0).says("1 object");
    let ran = cairn("record both --docker --docker=saved.tar").exits(0);
    ran.says("2 objects");
    cairn("verify both --docker --docker=saved.tar").exits(0);
    for secret in [SECRET, "planted-token"] {
        stage.keeps_nowhere(secret, "sha256:");
    }
    let docker = stage.path("docker");
    assert!(holds(&docker, b"planted-token"), "Docker has it");

    let ran = cairn("run wrapped -- docker restart -t 0 web").exits(0);
    assert_eq!(ran.out.trim(), "web", "what docker said");
    cairn("verify wrapped --docker").exits(0).says("wrapped#1");
    assert!(start(&daemon, same), "as before");
    cairn("verify prod --docker").exits(0);
    let other = "--user 0 -e TOKEN=other --cap-add NET_ADMIN";
    assert!(start(&daemon, other), "changed");
    let ran = cairn("verify prod --docker").exits(10);
    ran.says("config.env.TOKEN")
        .says("hostConfig.capAdd")
        .says("1 of 1 object differs");
    cairn("record prod --docker").exits(0);
    cairn("verify prod --docker").exits(0).says("prod#2");
    cairn("rollback prod prod#1").exits(0).says("docker run");
    let ran = cairn("verify prod --docker").exits(15);
    ran.says("what is here is prod#2");
    assert!(start(&daemon, same), "and back");
    cairn("verify prod --docker").exits(0).says("prod#3");
    daemon.docker("stop -t 0 web");
    let ran = cairn("verify prod --docker").exits(10);
    ran.says("state  recorded running  found exited");
    daemon.docker("rm -f web");
    cairn("verify image --docker").exits(10).says("is missing");
}
