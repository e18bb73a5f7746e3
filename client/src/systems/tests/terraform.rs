//! Plans and states without the tool: what leaves, and what is a match.

use cairn_proto::reason::Reason;
use serde_json::{Value, json};

use super::{Folder, With, changed, sent, told};
use crate::sources::Capture;

const RESOURCE: &str = "/values/root_module/resources/0";

/// A state of one resource, with values and the marks beside them.
fn state(values: &Value, marks: &Value) -> Value {
    json!({
        "format_version": "1.0",
        "values": { "root_module": { "resources": [{
            "address": "x.a",
            "mode": "managed",
            "type": "x",
            "provider_name": "example.org/x/x",
            "values": values,
            "sensitive_values": marks,
        }] } },
    })
}

/// A refresh that found a state.
fn refresh(state: &Value) -> Value {
    json!({
        "format_version": "1.2",
        "planned_values": {},
        "prior_state": state,
        "complete": true,
    })
}

fn record(value: &Value) -> Capture {
    let bytes = value.to_string();
    Folder::new().record("terraform", bytes.as_bytes()).unwrap()
}

fn compared(recorded: &Capture, state: &Value, with: &With<'_>) -> Vec<String> {
    let bytes = refresh(state).to_string();
    told(&Folder::new().compare("terraform", recorded, bytes.as_bytes(), with))
}

/// Goal: whatever is marked leaves as a tag, in whatever form the mark is, and so does a mark
/// that does not fit its value. Method: each form, and what would be sent.
#[test]
fn whatever_is_marked_leaves_as_a_tag() {
    let planted = "planted-one";
    let table = [
        (json!(planted), json!(true)),
        (json!({ "a": [1, { "b": planted }] }), json!(true)),
        (
            json!({ "a": [1, { "b": planted }] }),
            json!({ "a": [false, { "b": true }] }),
        ),
        (json!({ "a": [planted] }), json!({ "a": true })),
        // A set of which one item is marked, and the list beside it is shorter.
        (json!(["x", planted]), json!([true])),
        (json!([planted]), json!({ "a": true })),
        (json!({ "a": planted }), json!([true])),
        (json!(planted), json!({ "a": true })),
        (json!(planted), json!("yes")),
        (json!({ "planted-one": 1 }), json!(true)),
        (json!(471_147_114_711_i64), json!(true)),
    ];
    for (value, marks) in table {
        let state = state(&json!({ "v": value, "w": 1 }), &json!({ "v": marks }));
        let recorded = record(&state);
        let all = sent(&recorded);
        let left = all.contains("planted") || all.contains("4711");
        assert!(!left, "{value} {marks}: {all}");
        assert!(all.contains("cairn:withheld:"), "{value} {marks}");
        assert_eq!(
            compared(&recorded, &state, &With::all()),
            Vec::<String>::new()
        );
        let other = changed(
            &state,
            &format!("{RESOURCE}/values/v"),
            json!("planted-two"),
        );
        let other = compared(&recorded, &other, &With::all());
        assert!(!other.is_empty(), "{value} {marks}");
        let kept = With {
            tags: None,
            ..With::all()
        };
        let unknown = compared(&recorded, &state, &kept);
        let all = unknown
            .iter()
            .all(|it| it.starts_with("unverifiable values.v"));
        assert!(all && !unknown.is_empty(), "{value} {marks}: {unknown:?}");
    }
}

/// Goal: a value that is marked in one place is withheld in all, and nothing else is. Method: a
/// copy of each sort, of a resource's value and of an output's.
#[test]
fn copies_of_what_is_marked_are_withheld() {
    for copy in [
        json!("planted-one"),
        json!("https://x:planted-one@db"),
        json!({ "planted-one": 1 }),
        json!({ "n": { "deep": "planted-one" } }),
        json!(20_261_128),
        json!("20261128"),
    ] {
        let values = json!({ "v": "planted-one", "n": 20_261_128, "copy": copy, "w": "plain" });
        let state = state(&values, &json!({ "v": true, "n": true }));
        let recorded = record(&state);
        let all = sent(&recorded);
        assert!(
            !all.contains("planted") && !all.contains("20261128"),
            "{all}"
        );
        assert!(all.contains("plain"), "{all}");
        assert_eq!(
            compared(&recorded, &state, &With::all()),
            Vec::<String>::new()
        );
    }
    let mut state = state(&json!({ "copy": "planted-one" }), &json!({}));
    state["values"]["outputs"] = json!({ "o": { "sensitive": true, "value": "planted-one" } });
    let all = sent(&record(&state));
    assert!(!all.contains("planted"), "{all}");
}

/// Goal: of a plan, neither values of variables leave nor what its changes mark, and what it
/// does not know is no difference later. Method: a plan, and what became of it.
#[test]
fn a_plan_leaves_without_its_variables_and_marks() {
    let made = json!({ "id": "i-1", "list": ["x", "y"], "v": "planted-one", "w": 1 });
    let planned = json!({ "list": [null, "y"], "v": "planted-one", "w": 1 });
    let mut plan = json!({
        "format_version": "1.2",
        "variables": { "a": { "value": "planted-two" }, "b": { "value": "planted-three" } },
        "configuration": { "root_module": { "variables": { "b": { "sensitive": true } } } },
        "planned_values": state(&planned, &json!({}))["values"],
        "resource_changes": [{ "address": "x.a", "mode": "managed", "change": {
            "actions": ["create"],
            "after": planned,
            "after_unknown": { "id": true, "list": [true, false] },
            "after_sensitive": { "v": true },
        } }],
        "output_changes": { "o": { "after_unknown": true, "after_sensitive": true } },
    });
    plan["planned_values"]["outputs"] = json!({
        "o": { "sensitive": false },
        "p": { "sensitive": false, "value": "planted-three" },
    });
    let recorded = record(&plan);
    let all = sent(&recorded);
    assert!(!all.contains("planted"), "{all}");
    let mut became = state(&made, &json!({ "v": true }));
    became["values"]["outputs"] = json!({
        "o": { "sensitive": true, "value": "planted-four" },
        "p": { "sensitive": false, "value": "planted-three" },
    });
    assert_eq!(
        compared(&recorded, &became, &With::all()),
        Vec::<String>::new()
    );
    let list = format!("{RESOURCE}/values/list");
    let other = changed(&became, &list, json!(["x", "z"]));
    assert_eq!(
        compared(&recorded, &other, &With::all()),
        ["changed values.list[1]"]
    );
    let part = changed(&plan, "/errored", json!(true));
    let refused = Folder::new().record("terraform", part.to_string().as_bytes());
    assert_eq!(refused.unwrap_err().reason(), Reason::SourceInvalid);
}

/// Goal: what was recorded in clear and is called sensitive now is a match while it is the same,
/// and is not shown once it is another; a tag is no match of itself as text. Method: each.
#[test]
fn marks_that_came_later_hide_new_values_alone() {
    let values = json!({ "v": { "a": "one", "b": "two" } });
    let recorded = record(&state(&values, &json!({})));
    let marked = state(&values, &json!({ "v": true }));
    assert_eq!(
        compared(&recorded, &marked, &With::all()),
        Vec::<String>::new()
    );
    let new = json!({ "v": { "a": "planted-one", "b": "two" } });
    let bytes = refresh(&state(&new, &json!({ "v": true }))).to_string();
    let folder = Folder::new();
    let outcome = folder.compare("terraform", &recorded, bytes.as_bytes(), &With::all());
    assert_eq!(told(&outcome), ["changed values.v.a"]);
    let shown = format!("{:?}", outcome.differences);
    assert!(!shown.contains("planted"), "{shown}");

    let recorded = record(&state(
        &json!({ "v": "planted-one" }),
        &json!({ "v": true }),
    ));
    let sent = sent(&recorded);
    let begins = sent.find("cairn:withheld:").unwrap();
    let tag = sent[begins..].split('"').next().unwrap();
    for marks in [json!({}), json!({ "v": true })] {
        let forged = state(&json!({ "v": tag }), &marks);
        let found = compared(&recorded, &forged, &With::all());
        assert_eq!(found, ["changed values.v"]);
    }
}

/// Goal: an old object that waits to be destroyed is told from the one that took its place.
/// Method: both in one state, then the old one gone.
#[test]
fn deposed_objects_have_names_of_their_own() {
    let mut both = state(&json!({ "id": "new" }), &json!({}));
    let resources = both.pointer_mut("/values/root_module/resources").unwrap();
    let mut old = resources[0].clone();
    old["deposed_key"] = "00000001".into();
    old["values"]["id"] = "old".into();
    resources.as_array_mut().unwrap().push(old);
    let recorded = record(&both);
    assert!(
        recorded
            .artifact("terraform/deposed/x.a/00000001")
            .is_some()
    );
    assert_eq!(
        compared(&recorded, &both, &With::all()),
        Vec::<String>::new()
    );
    let gone = state(&json!({ "id": "new" }), &json!({}));
    assert_eq!(compared(&recorded, &gone, &With::all()), ["missing"]);
}
