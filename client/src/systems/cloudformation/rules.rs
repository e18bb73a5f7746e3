//! How what AWS says of a stack is compared: all of it, but for what an update changes that
//! leaves everything else as it was.

use serde_json::Value;

use crate::compare::{Place, Rules};

/// States in which a stack is as its template says, whichever way it came there.
pub(super) const SETTLED: [&str; 5] = [
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
];

pub(super) struct StackRules;

impl Rules for StackRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        // It tells which change set was the last; what that changed is compared itself.
        place.is(&["ChangeSetId"])
    }

    fn same(&self, place: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        let settled = |value: &Value| value.as_str().is_some_and(|state| SETTLED.contains(&state));
        place.is(&["StackStatus"]) && settled(recorded) && settled(found)
    }

    fn says_nothing(&self, place: &Place<'_>, _recorded: &Value) -> bool {
        // A change set is gone once it was executed, and one that waits changes nothing.
        place.begins(&["ChangeSets"])
    }

    fn alarms(&self, place: &Place<'_>, _found: &Value) -> bool {
        !place.begins(&["ChangeSets"])
    }
}

/// Of parameters: everything counts.
pub(super) struct ParametersRules;

impl Rules for ParametersRules {}

/// Of templates: everything counts, and that what AWS made of one drifts.
pub(super) struct TemplateRules;

impl Rules for TemplateRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        // The same template can be written in both.
        place.is(&["Format"])
    }

    fn alarms(&self, place: &Place<'_>, _found: &Value) -> bool {
        // Each by itself.
        !place.is(&["Drift"])
    }
}

pub(super) struct ResourceRules;

impl Rules for ResourceRules {
    fn alarms(&self, place: &Place<'_>, _found: &Value) -> bool {
        // What was recorded before it was deployed has no id yet.
        !place.is(&["PhysicalResourceId"])
    }
}
