//! Text that is not what it should be: refused with what is wrong, and nothing is recorded.

use serde_json::{Value, json};

use crate::stage::Stage;

/// A state with one resource, as `show -json` prints it.
fn state() -> Value {
    json!({
        "format_version": "1.0",
        "terraform_version": "1.11.4",
        "values": { "root_module": { "resources": [{
            "address": "terraform_data.a",
            "mode": "managed",
            "type": "terraform_data",
            "name": "a",
            "provider_name": "terraform.io/builtin/terraform",
            "schema_version": 0,
            "values": { "id": "1", "input": { "n": 1, "gone": null } },
            "sensitive_values": {},
        }] } },
    })
}

/// What a refresh found to be that state.
fn refresh(state: &Value) -> Value {
    json!({
        "format_version": "1.2",
        "planned_values": { "root_module": {} },
        "prior_state": state,
        "complete": true,
        "errored": false,
    })
}

/// A state with something else at a place.
fn with(path: &str, value: Value) -> String {
    let mut state = state();
    *state.pointer_mut(path).unwrap() = value;
    state.to_string()
}

/// Refuses each text, with a code and a reason, and records nothing.
fn refuses_all(code: &str, table: &[(String, &str)]) {
    let (stage, _ledger) = Stage::with_ledger();
    let before = stage.size();
    for (text, why) in table {
        stage
            .feed("record staging --terraform=-", text.as_bytes())
            .refuses(1, code)
            .says(why);
    }
    assert_eq!(stage.size(), before, "nothing was recorded");
}

/// Goal: what is cut, ambiguous, too long or too deep is refused. Method: one of each.
#[test]
fn text_that_is_not_one_json_value_is_refused() {
    let whole = state().to_string();
    let nested = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let swollen = format!("{{\"format_version\":\"1.0\"}}{}", " ".repeat(64 << 20));
    let messages = "{\"@level\":\"info\"}\n{\"@level\":\"info\"}";
    let twice = r#"{"format_version":"1.0","format_version":"1.0"}"#;
    let digits = r#"{"format_version":"1.0","values":{"x":0.12345678901234567890}}"#;
    let table = [
        (whole[..whole.len() / 2].to_owned(), "EOF"),
        (String::new(), "it is empty"),
        ("resource \"a\" \"b\" {}".to_owned(), "expected value"),
        (messages.to_owned(), "a stream of messages"),
        (twice.to_owned(), "stands twice"),
        (digits.to_owned(), "more digits"),
        (nested, "recursion limit"),
        (swollen, "longer than 64 MiB"),
    ];
    refuses_all("SOURCE_INVALID", &table);
}

/// Goal: what is of another version, or does not say what it must, is refused. Method: one of
/// each; then marks that do not fit their value, which mark all of it.
#[test]
fn text_that_is_no_plan_and_no_state_is_refused() {
    let resource = "/values/root_module/resources/0";
    let unmarked = with(resource, json!({ "address": "a.b", "values": {} }));
    let forged = with(
        &format!("{resource}/values/id"),
        json!("cairn:withheld:a:b"),
    );
    let third = r#"{"version":3,"serial":1,"lineage":"x","modules":[]}"#;
    let fifth = r#"{"version":5,"serial":1,"lineage":"x"}"#;
    let locked = r#"{"serial":1,"lineage":"x","encrypted_data":"eA=="}"#;
    let other = r#"{"format_version":"1.0","valid":true}"#;
    let table = [
        ("[]".to_owned(), "neither a plan nor a state"),
        ("{}".to_owned(), "neither a plan nor a state"),
        (other.to_owned(), "it has valid"),
        (with("/format_version", json!("2.0")), "version 2.0"),
        (with("/format_version", json!("0.2")), "version 0.2"),
        (third.to_owned(), "a state of version 3"),
        (fifth.to_owned(), "a state of version 5"),
        (
            r#"{"version":4,"resources":[]}"#.to_owned(),
            "without lineage or serial",
        ),
        (locked.to_owned(), "it is encrypted"),
        (unmarked, "which values of a.b are sensitive"),
        (with(&format!("{resource}/type"), json!(7)), "has no type"),
        (forged, "stands for a secret"),
    ];
    refuses_all("SOURCE_INVALID", &table);
    let nothing = [(with("/values", json!({})), "holds nothing")];
    refuses_all("PATH_EMPTY", &nothing);
    let (stage, _ledger) = Stage::with_ledger();
    let odd = with(
        &format!("{resource}/sensitive_values"),
        json!({ "input": ["x"] }),
    );
    stage
        .feed("record staging --terraform=-", odd.as_bytes())
        .exits(0)
        .says("withheld");
}

/// Goal: a plan file that is none is refused with the tool's own words.
#[test]
fn a_plan_file_that_is_cut_is_refused() {
    let Some(works) = super::works::Works::applied("a plan file that is cut") else {
        return;
    };
    works.terraform("plan -out=p");
    let path = works.stage.path("tf/p");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    works
        .cairn("record staging --terraform=tf/p")
        .refuses(1, "TOOL_FAILED");
    works
        .cairn("record staging --terraform=tf/none")
        .refuses(1, "PATH_UNREADABLE");
}

/// Goal: nothing, `{}`, `[]` and an empty text are one; all else is another value. Method: a
/// refresh with one field changed.
#[test]
fn empty_values_are_one() {
    let (stage, _ledger) = Stage::with_ledger();
    let record = |state: &Value| {
        let text = state.to_string();
        stage
            .feed("record staging --terraform=-", text.as_bytes())
            .exits(0);
    };
    record(&state());
    let verify = |values: Value, exit: i32| {
        let mut found = state();
        *found
            .pointer_mut("/values/root_module/resources/0/values")
            .unwrap() = values;
        let text = refresh(&found).to_string();
        stage
            .feed("verify staging --terraform=-", text.as_bytes())
            .exits(exit)
    };
    for empty in [
        json!(null),
        json!({}),
        json!([]),
        json!(""),
        json!({ "a": null }),
    ] {
        verify(
            json!({"id": "1", "input": {"n": 1, "gone": empty, "more": empty}}),
            0,
        );
    }
    verify(json!({"id": "1", "input": {"n": 1}, "tags": null}), 0);
    verify(json!({"id": "1", "input": {"n": 1.0}}), 0);
    for other in [
        json!(0),
        json!(false),
        json!([null]),
        json!({ "a": 0 }),
        json!(" "),
    ] {
        verify(json!({"id": "1", "input": {"n": 1, "gone": other}}), 10);
        verify(json!({"id": "1", "input": {"n": 1, "more": other}}), 10);
    }
    verify(json!({"id": "1", "input": {"n": null}}), 10);
    verify(json!({"id": "1", "input": {"n": "1"}}), 10);
    verify(
        json!({"id": "1", "input": {"n": 9_007_199_254_740_993_i64}}),
        10,
    );
}

/// Goal: what a refresh could not read is unverifiable, and what it does not say of itself too.
/// Method: each form of it.
#[test]
fn what_a_refresh_did_not_read_is_unverifiable() {
    let (stage, _ledger) = Stage::with_ledger();
    let mut known = state();
    let resources = known.pointer_mut("/values/root_module/resources").unwrap();
    let mut data = resources[0].clone();
    data["address"] = "data.http.page".into();
    data["mode"] = "data".into();
    resources.as_array_mut().unwrap().push(data);
    let text = known.to_string();
    stage
        .feed("record staging --terraform=-", text.as_bytes())
        .exits(0);
    let verify = |change: &dyn Fn(&mut Value), exit: i32| {
        let mut plan = refresh(&known);
        change(&mut plan);
        let text = plan.to_string();
        let ran = stage.feed("verify staging --terraform=-", text.as_bytes());
        ran.exits(exit)
    };
    verify(&|_| {}, 0).says("3 of 3 objects");
    let change = |address: &str, mode: &str, action: &str, unknown: Value| {
        json!([{ "address": address, "mode": mode,
                 "change": { "actions": [action], "after_unknown": unknown } }])
    };
    let read = change("data.http.page", "data", "read", json!({ "id": true }));
    let ran = verify(&|plan| plan["resource_changes"] = read.clone(), 16);
    ran.says("data.http.page  could not be measured: the data source is read only when");
    let drift = change(
        "terraform_data.a",
        "managed",
        "update",
        json!({ "input": { "n": true } }),
    );
    verify(&|plan| plan["resource_drift"] = drift.clone(), 16)
        .says("terraform_data.a  could not be measured: the provider does not know");
    let known = change(
        "terraform_data.a",
        "managed",
        "update",
        json!({ "input": {} }),
    );
    verify(&|plan| plan["resource_drift"] = known.clone(), 0)
        .says("changed outside Terraform since it was last applied, as the providers say: 1");
    verify(&|plan| plan["errored"] = true.into(), 16).says("the plan failed half-way");
    verify(&|plan| plan["complete"] = false.into(), 16).says("is not complete");
    verify(&|plan| plan["deferred_changes"] = json!([{}]), 16).says("is not complete");
    let quiet = |plan: &mut Value| drop(plan.as_object_mut().unwrap().remove("complete"));
    verify(&quiet, 16).says("does not say whether it is of all resources");
    let other = |plan: &mut Value| plan["prior_state"]["format_version"] = "2.0".into();
    verify(&other, 1).says("version 2.0");
    verify(
        &|plan| drop(plan.as_object_mut().unwrap().remove("prior_state")),
        10,
    );
}
