//! What `helm get all` prints, given to `--helm`.

use crate::{
    cluster::{Cluster, one},
    helm::{helm, installed},
};

const RECORD: &str = "record prod/shop --helm=all.txt";
const VERIFY: &str = "verify prod/shop --helm";
const RELEASE: &str = "helm/release/shop/web";
const DEPLOYMENT: &str = "helm/object/shop/web/apps/Deployment/_/web-web";

/// Writes what helm prints of the release.
fn print(cluster: &Cluster) -> String {
    let text = helm(cluster, "get all web -n shop").out;
    cluster.stage.write("all.txt", &text);
    text
}

fn of_release(cluster: &Cluster, code: i32) -> Vec<String> {
    let told = cluster.differences(VERIFY, code);
    let own = told.into_iter().filter(|it| it.0 == RELEASE);
    own.map(|it| it.1).collect()
}

/// Goal: a release is recorded from what helm prints for people, and what runs is verified
/// against it until values, hooks or objects differ; the way back is verified; nothing secret
/// is kept. Method: record the text, verify live, upgrade, roll back.
#[test]
fn what_helm_prints_of_a_release_is_verified_until_what_runs_differs() {
    let Some(cluster) = installed("helm get all") else {
        return;
    };
    print(&cluster);
    cluster.cairn(RECORD).exits(0).says("Recorded  prod/shop#1");
    for secret in ["swordfish-4711", "c3dvcmRmaXNoLTQ3MTE", "the password is"] {
        cluster.stage.keeps_nowhere(secret, "web-web");
    }
    cluster.cairn(VERIFY).exits(0).says("VERIFIED");
    cluster.kubectl("scale deployment/web-web -n shop --replicas=5");
    let told = cluster.differences(VERIFY, 10);
    assert_eq!(told, [one(DEPLOYMENT, "spec.replicas", "changed")]);
    cluster.kubectl("scale deployment/web-web -n shop --replicas=2");
    cluster.cairn(VERIFY).exits(0);
    // A value that nothing was rendered of, and one of a hook.
    helm(
        &cluster,
        "upgrade web chart -n shop --reuse-values --set unused=1",
    );
    assert_eq!(of_release(&cluster, 10), ["revision", "values"]);
    helm(
        &cluster,
        "upgrade web chart -n shop --reuse-values --set mode=other",
    );
    let expected = ["hooks", "manifest", "revision", "values"];
    assert_eq!(of_release(&cluster, 10), expected);
    print(&cluster);
    cluster.cairn(RECORD).exits(0).says("Recorded  prod/shop#2");
    cluster.cairn(VERIFY).exits(0);
    let ran = cluster.cairn("rollback prod/shop prod/shop#1").exits(0);
    ran.says("helm rollback web 1 --namespace shop");
    helm(&cluster, "rollback web 1 -n shop");
    cluster.cairn(VERIFY).exits(0).says("VERIFIED");
}

/// Goal: of two forms of one release neither is taken for what it does not say. Method: each is
/// recorded and verified by the other's file.
#[test]
fn what_one_form_of_a_release_does_not_say_is_unverifiable() {
    let Some(cluster) = installed("helm get all, and its Secret") else {
        return;
    };
    print(&cluster);
    let name = "sh.helm.release.v1.web.v1";
    let secret = cluster.kubectl(&format!("get secret {name} -n shop -o json"));
    cluster.stage.write("secret.json", &secret.out);
    cluster.cairn(RECORD).exits(0);
    let told = cluster.differences("verify prod/shop --helm=secret.json", 16);
    let values = told.iter().filter(|it| it.0 == RELEASE);
    let expected = one(RELEASE, "values", "unverifiable");
    assert_eq!(values.collect::<Vec<_>>(), [&expected]);
    let told = cluster.differences("verify prod/shop --helm=all.txt", 16);
    assert!(told.iter().all(|it| it.0 != RELEASE), "{told:?}");
    cluster
        .cairn("record prod/shop --helm=secret.json")
        .exits(0)
        .says("Recorded  prod/shop#2");
    let told = cluster.differences("verify prod/shop --helm=all.txt", 16);
    assert!(told.contains(&one(RELEASE, "", "unverifiable")), "{told:?}");
    cluster.cairn(VERIFY).exits(0);
}

/// Goal: a text in which a part could begin at two places, or which is cut, is refused by name,
/// and nothing is recorded of it. Method: helm's own text, changed in one place each.
#[test]
fn a_text_that_can_be_read_in_two_ways_records_nothing() {
    let Some(cluster) = installed("helm get all, ambiguous") else {
        return;
    };
    let before = cluster.stage.size();
    let text = print(&cluster);
    for (from, to, why) in [
        ("HOOKS:\n", "HOOKS:\nHOOKS:\n", "HOOKS: stands there twice"),
        ("MANIFEST:\n", "", "MANIFEST: is missing"),
        ("NOTES:\n", "NOTES:\nNOTES:\n", "NOTES: stands there twice"),
        ("NOTES:\n", "MANIFEST:\nNOTES:\n", "MANIFEST: stands there"),
        ("COMPUTED VALUES:", "X:", "COMPUTED VALUES: is missing"),
        ("STATUS: deployed", "STATUS: failed", "failed, not deployed"),
        ("REVISION: 1", "REVISION: one", "its revision is no number"),
        ("NAME: web", "NAME: --kubeconfig=x", "does not allow"),
        ("CHART: ", "KART: ", "it has no CHART"),
        (
            "NAMESPACE: ",
            "NAMESPACE: a\nNAMESPACE: ",
            "NAMESPACE: stands",
        ),
        ("\n", "\r\n", "carriage returns"),
        ("NAME: ", "WARNING: x\nNAME: ", "before its first line"),
        ("kind: Deployment\n", "kind: Deployment\nNOTES:\n", "twice"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        cluster.stage.write("all.txt", text.replacen(from, to, 1));
        let ran = cluster.cairn(RECORD).refuses(1, "SOURCE_INVALID");
        ran.says(why);
    }
    // A value of that name.
    helm(
        &cluster,
        "upgrade web chart -n shop --reuse-values --set HOOKS.a=1",
    );
    print(&cluster);
    cluster
        .cairn(RECORD)
        .refuses(1, "SOURCE_INVALID")
        .says("HOOKS: stands there twice")
        .says("give the release's Secret");
    assert_eq!(cluster.stage.size(), before);
}

/// Goal: a text that is cut, or whose objects could go on where notes seem to begin, records
/// nothing. Method: helm's own text without its notes, cut in each part, and with a line that a
/// chart may have.
#[test]
fn a_text_that_is_cut_or_hides_objects_records_nothing() {
    let Some(cluster) = installed("helm get all, cut") else {
        return;
    };
    let before = cluster.stage.size();
    let text = print(&cluster);
    let (bare, _) = text.split_once("NOTES:\n").unwrap();
    let document = bare.rfind("---\n").unwrap();
    for (cut, why) in [
        (&bare[..bare.find("MANIFEST:\n").unwrap() + 10], "is cut"),
        (&bare[..document + 20], "is cut"),
        (bare.trim_end(), "is cut"),
        // What a shell leaves of it.
        (&format!("{}\n", bare.trim_end()), "is cut"),
        (&text[..text.find("HOOKS:\n").unwrap()], "is missing"),
    ] {
        cluster.stage.write("all.txt", cut);
        let ran = cluster.cairn(RECORD).refuses(1, "SOURCE_INVALID");
        ran.says(why);
    }
    // A chart without notes, one of whose objects has a member of that name.
    for (member, with) in [
        ("kind: Deployment\n", "NOTES:\n"),
        ("kind: Deployment\n", "NOTES:\n1. See these:\n  a\n"),
        ("kind: Deployment\nmetadata", "NOTES:\n\"metadata\""),
        ("kind: Secret\n", "NOTES:\n"),
    ] {
        assert!(bare.contains(member), "{bare}");
        let (kept, _) = member.split_at(member.find('\n').unwrap() + 1);
        let hidden = bare.replacen(member, &format!("{kept}\n{with}"), 1);
        cluster.stage.write("all.txt", &hidden);
        let ran = cluster.cairn(RECORD).refuses(1, "SOURCE_INVALID");
        ran.says("could be objects");
    }
    assert_eq!(cluster.stage.size(), before);
}

/// Goal: a release without values, hooks and notes is one, too. Method: a chart of one object.
#[test]
fn a_release_of_objects_alone_is_recorded_as_helm_prints_it() {
    let Some(cluster) = installed("helm get all, of objects alone") else {
        return;
    };
    let stage = &cluster.stage;
    stage.write(
        "plain/Chart.yaml",
        "apiVersion: v2\nname: plain\nversion: 1.0.0\n",
    );
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: plain}\ndata: {a: b}\n";
    stage.write("plain/templates/map.yaml", map);
    helm(&cluster, "install plain plain -n shop");
    let text = helm(&cluster, "get all plain -n shop").out;
    assert!(!text.contains("NOTES:"), "{text}");
    stage.write("all.txt", &text);
    cluster.cairn(RECORD).exits(0);
    // The notes of the chart that helm itself makes, which are YAML by chance.
    let notes = "NOTES:\n1. Get the application URL by running these commands:\n  export A=b\n";
    stage.write("all.txt", text + notes);
    cluster.cairn(RECORD).exits(0);
    cluster.cairn(VERIFY).exits(0).says("VERIFIED");
    helm(&cluster, "upgrade plain plain -n shop --set a=b");
    let told = cluster.differences(VERIFY, 10);
    let release = "helm/release/shop/plain";
    let expected = ["revision", "values"].map(|field| one(release, field, "changed"));
    assert_eq!(told, expected);
}
