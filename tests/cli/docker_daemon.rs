//! A real Docker daemon, where one starts: it wants rights that not every machine gives.

use crate::{
    docker::{holds, kept_secret},
    docker_running::{SECRET, with_host},
    stage::Stage,
    support::docker::{Daemon, build, has_tools, run},
};

/// Goal: it holds for Docker as it is. Method: a daemon of its own runs an image from an archive
/// that it saved itself, and containers that are made again, changed and stopped.
#[test]
fn what_a_real_daemon_runs_is_verified() {
    let tools = ["dockerd", "docker", "skopeo", "umoci", "busybox"];
    if !has_tools("a Docker daemon", &tools) {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let folder = stage.path("");
    let Some(daemon) = Daemon::start("a Docker daemon", &folder) else {
        return;
    };
    build(
        &folder,
        "1",
        "one",
        &format!("--config.env DB_PASS={SECRET}"),
    );
    let busybox = run(&folder, "which busybox");
    run(
        &folder,
        &format!("umoci insert --image oci:1 {} /bin/busybox", busybox.trim()),
    );
    run(
        &folder,
        "skopeo copy -q oci:oci:1 docker-archive:shop.tar:shop:1",
    );
    daemon.docker(&format!("load -i {}", folder.join("shop.tar").display()));
    let start = |more: &str| {
        daemon.docker("rm -f web");
        let line = format!("run -d --name web --network none {more} shop:1 /bin/busybox sleep 600");
        let (done, said) = daemon.try_docker(&line);
        if !done {
            crate::support::tools::skipped("a container", &said);
        }
        done
    };
    daemon.try_docker("create --name web shop:1");
    if !start("--user 0 -e TOKEN=planted-token") {
        return;
    }
    daemon.docker(&format!(
        "save -o {} shop:1",
        folder.join("saved.tar").display()
    ));
    let cairn = |line: &str| with_host(&stage, &daemon.host, line);
    cairn("record image --docker=saved.tar").exits(0);
    cairn("verify image --docker")
        .exits(0)
        .says("runtime-reported");
    cairn("verify image --docker=shop.tar").exits(0);
    cairn("record prod --docker").exits(0).says("1 object");
    cairn("record both --docker --docker=saved.tar")
        .exits(0)
        .says("2 objects");
    cairn("verify both --docker --docker=saved.tar").exits(0);
    for secret in [SECRET, "planted-token"] {
        kept_secret(&stage, secret);
    }
    assert!(
        holds(&stage.path("docker"), b"planted-token"),
        "Docker has it"
    );
    assert!(start("--user 0 -e TOKEN=planted-token"), "as before");
    cairn("verify prod --docker").exits(0);
    assert!(
        start("--user 0 -e TOKEN=other --cap-add NET_ADMIN"),
        "changed"
    );
    let ran = cairn("verify prod --docker").exits(10);
    ran.says("config.env.TOKEN")
        .says("hostConfig.capAdd")
        .says("1 of 1 object differs");
    daemon.docker("stop -t 0 web");
    cairn("verify prod --docker")
        .exits(10)
        .says("state  recorded running  found exited");
    daemon.docker("rm -f web");
    cairn("verify image --docker").exits(10).says("is missing");
}
