//! What may be recorded, and what may be compared: plans and states, as files and as text.

use std::{fs, io::Write as _, process::Stdio};

use super::works::{Works, expected};

/// Runs with something on standard input.
#[track_caller]
fn feed(works: &Works, line: &str, input: &[u8]) -> crate::stage::Ran {
    let path = works.stage.path("fed");
    fs::File::create(&path).unwrap().write_all(input).unwrap();
    let mut command = works.command(line);
    command.stdin(Stdio::from(fs::File::open(path).unwrap()));
    crate::stage::Ran::of(&mut command, line)
}

/// Goal: a plan that was approved is recorded before it is applied, and what it made is
/// verified. Method: the plan file, and the same as JSON; then another value is applied.
#[test]
fn a_plan_is_recorded_and_what_it_made_is_verified() {
    let Some(works) = Works::written("a plan") else {
        return;
    };
    works.terraform("plan -out=release.tfplan");
    // What it was made from is in it, whatever becomes of the files.
    let module = works.stage.text("tf/cache/main.tf");
    works.stage.write("planned.tf", &module);
    works.stage.write("tf/cache/main.tf", "# another\n");
    works
        .cairn("record prod/shop --terraform=tf/release.tfplan")
        .exits(0)
        .says("known only after the plan is applied, and not recorded")
        .says("withheld");
    works
        .cairn("show prod/shop")
        .says("terraform/input/plan")
        .says("terraform/input/configuration/.terraform.lock.hcl")
        .says("terraform/input/configuration/cache/main.tf");
    works.cairn("find planned.tf").says("prod/shop#1");
    fs::create_dir(works.stage.path("out")).unwrap();
    // A part of it is put back, and is no success.
    works
        .cairn("restore prod/shop terraform/input/configuration --to out")
        .refuses(1, "NOT_FOUND")
        .says("withheld  terraform/input/configuration/main.tf");
    let restored = works
        .stage
        .text("out/terraform/input/configuration/cache/main.tf");
    assert_eq!(restored, module);
    works.stage.write("tf/cache/main.tf", &module);
    let shown = works.terraform("show -json release.tfplan");
    feed(&works, "record prod/json --terraform=-", shown.as_bytes()).exits(0);
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(10);
    works.terraform("apply release.tfplan");
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(0)
        .says("8 of 8 objects");
    works.cairn("verify prod/json --terraform=live:tf").exits(0);
    works.terraform("apply -auto-approve -var replicas=4");
    assert_eq!(
        works.differences(10),
        expected(&[(
            "resource/terraform_data.web",
            "values.input.replicas",
            "changed"
        )])
    );
    works.keeps_the_secret();
}

/// Goal: states and plans that somebody records as files leave as tags, whatever they are called.
/// Method: each form in which they lie about, by path, by name and in a directory.
#[test]
fn states_and_plans_that_are_recorded_as_files_are_withheld() {
    let Some(works) = Works::applied("states as files") else {
        return;
    };
    works.terraform("plan -out=release.tfplan");
    let shown = works.terraform("show -json");
    let planned = works.terraform("show -json release.tfplan");
    let read = |name: &str| fs::read(works.stage.path(format!("tf/{name}"))).unwrap();
    let state = read("terraform.tfstate");
    for (name, bytes) in [
        ("shown.json", shown.into_bytes()),
        ("planned", planned.into_bytes()),
        ("a.tfstate", b"cut".to_vec()),
        ("terraform.tfstate.1712345678.backup", state.clone()),
        ("pulled", state),
        ("release", read("release.tfplan")),
    ] {
        works.stage.write(&format!("st/{name}"), bytes);
    }
    let ran = works.cairn("record prod/files st").exits(0);
    assert!(ran.err.contains("withheld  6 files"), "{}", ran.err);
    works.cairn("record prod/name state=st/pulled").exits(0);
    works.cairn("verify prod/files st").exits(0);
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    works.keeps_the_secret();
}

/// Goal: to apply a saved plan and to record it is one command. Method: as a pipeline does it.
#[test]
fn a_plan_that_is_applied_by_run_is_recorded() {
    let Some(works) = Works::written("a plan that is applied by run") else {
        return;
    };
    works.terraform("plan -out=release.tfplan");
    works
        .cairn("run prod/shop -- terraform -chdir=tf apply -input=false release.tfplan")
        .exits(0)
        .says("Recorded  prod/shop#1");
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(0)
        .says("8 of 8 objects");
    // Without a plan the state shows what was made, and not before.
    let apply = "-- terraform -chdir=tf apply -auto-approve -var replicas=4";
    works
        .cairn(&format!("run prod/shop --before {apply}"))
        .refuses(2, "USAGE")
        .says("after the command");
    works.cairn(&format!("run prod/shop {apply}")).exits(0);
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(0)
        .says("prod/shop#2");
    for unclear in ["-state=other.tfstate", "-unknown prev.tfstate"] {
        let line = format!("run prod/shop -- terraform -chdir=tf apply {unclear}");
        works.cairn(&line).refuses(2, "USAGE");
    }
}

/// Goal: two plans of one thing have other bytes and one tag. Method: make both, record both.
#[test]
fn two_plans_that_say_the_same_have_one_tag() {
    let Some(works) = Works::written("two plans") else {
        return;
    };
    let tag = |manifest: &str| {
        let shown = works
            .cairn(&format!("show {manifest} --output json"))
            .exits(0);
        let text = shown.out;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let artifacts = value["artifacts"].as_array().unwrap().clone();
        let own = |name: &str| {
            let mut artifacts = artifacts.iter();
            artifacts.find(|it| it["name"] == name).unwrap().clone()
        };
        (own("terraform/input/plan"), own("terraform/input/source/p"))
    };
    for _ in 0..2 {
        works.terraform("plan -out=p");
        works.cairn("record prod/shop --terraform=tf/p").exits(0);
    }
    let (one, other) = (tag("prod/shop#1"), tag("prod/shop#2"));
    assert_eq!(one.0, other.0);
    assert_ne!(one.1, other.1);
}

/// Goal: states are recorded from files, raw or shown, and verified by a refresh-only plan from
/// a file, as JSON and from standard input. Method: each of them.
#[test]
fn a_state_file_is_recorded_and_a_refresh_only_plan_verifies_it() {
    let Some(works) = Works::applied("a state file") else {
        return;
    };
    let shown = works.terraform("show -json");
    works.stage.write("state.json", &shown);
    works.cairn("record a --terraform=state.json").exits(0);
    feed(&works, "record b --terraform=-", shown.as_bytes()).exits(0);
    works
        .cairn("record c --terraform=tf/terraform.tfstate")
        .exits(0);
    let raw = fs::read(works.stage.path("tf/terraform.tfstate")).unwrap();
    feed(&works, "record d --terraform=-", &raw).exits(0);
    works.terraform("plan -refresh-only -out=refresh");
    let plan = works.terraform("show -json refresh");
    works.stage.write("refresh.json", &plan);
    for environment in ["a", "b"] {
        works
            .cairn(&format!("verify {environment} --terraform=refresh.json"))
            .exits(0)
            .says("8 of 8 objects");
        works
            .cairn(&format!("verify {environment} --terraform=tf/refresh"))
            .exits(0);
        let line = format!("verify {environment} --terraform=-");
        feed(&works, &line, plan.as_bytes()).exits(0);
        let line = format!("verify {environment} --terraform=live:tf");
        works.cairn(&line).exits(0);
    }
    // A plan does not say of which state it is, and that was recorded.
    for environment in ["c", "d"] {
        works
            .cairn(&format!("verify {environment} --terraform=refresh.json"))
            .exits(16)
            .says("terraform/state  could not be measured");
        let line = format!("verify {environment} --terraform=live:tf");
        works.cairn(&line).exits(0);
    }
    works.keeps_the_secret();
}

/// Goal: a state of another lineage is another one, whatever it holds. Method: write another
/// lineage into it.
#[test]
fn a_state_of_another_lineage_is_drift() {
    let Some(works) = Works::applied("another lineage") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    let text = works.stage.text("tf/terraform.tfstate");
    let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let put = |state: &serde_json::Value| {
        works.stage.write("tf/terraform.tfstate", state.to_string());
    };
    // One that was written since is told of; an older one that was put back is another.
    let serial = state["serial"].as_u64().unwrap();
    state["serial"] = (serial + 2).into();
    put(&state);
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(0)
        .says("2 times");
    state["serial"] = (serial - 1).into();
    put(&state);
    assert_eq!(
        works.differences(10),
        expected(&[("state", "serial", "changed")])
    );
    state["serial"] = serial.into();
    state["lineage"] = "00000000-0000-0000-0000-000000000000".into();
    put(&state);
    assert_eq!(
        works.differences(10),
        expected(&[("state", "lineage", "changed")])
    );
}

/// Goal: what was not refreshed whole measures nothing, and what is no refresh is refused.
/// Method: a plan of some resources, a plan with changes, one without, states, a live one
/// that is told to be of some resources alone.
#[test]
fn only_a_whole_refresh_is_compared() {
    let Some(works) = Works::applied("only a whole refresh") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    works.terraform("plan -refresh-only -target=terraform_data.web -out=part");
    works
        .cairn("verify prod/shop --terraform=tf/part")
        .exits(16)
        .says("the plan is not complete");
    let line = "verify prod/shop --terraform=live:tf";
    let mut command = works.command(line);
    command.env("TF_CLI_ARGS_plan", "-target=terraform_data.web");
    crate::stage::Ran::of(&mut command, line)
        .exits(16)
        .says("of some resources alone");
    for plan in ["-var=replicas=4", "-refresh=true", "-refresh=false"] {
        works.terraform(&format!("plan {plan} -out=ordinary"));
        works
            .cairn("verify prod/shop --terraform=tf/ordinary")
            .refuses(1, "SOURCE_INVALID")
            .says("was not made with -refresh-only");
    }
    works
        .stage
        .write("state.json", works.terraform("show -json"));
    for state in ["state.json", "tf/terraform.tfstate"] {
        works
            .cairn(&format!("verify prod/shop --terraform={state}"))
            .refuses(1, "SOURCE_INVALID")
            .says("no provider was asked");
    }
    works
        .cairn("record prod/shop --terraform=tf/part")
        .refuses(1, "SOURCE_INVALID")
        .says("the plan is not complete");
}
