//! How objects are compared: every field, where nothing, `{}`, `[]` and `""` are one, as they
//! are to Terraform's providers. What a plan did not know was not recorded: what is found in its
//! place is listed. Whether an output is called sensitive is its configuration's to say.

use serde_json::Value;

use super::redact::is_empty;
use crate::{
    compare::{Place, Rules},
    systems::terraform::marks,
};

/// For resources and outputs.
pub(super) struct ValueRules;

impl Rules for ValueRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        place.is(&["unknown"]) || place.is(&["sensitive"])
    }

    fn same(&self, place: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        is_empty(recorded) && (is_empty(found) || is_unknown(place))
    }

    fn says_nothing(&self, _: &Place<'_>, recorded: &Value) -> bool {
        is_empty(recorded)
    }

    fn alarms(&self, place: &Place<'_>, _: &Value) -> bool {
        !is_unknown(place)
    }
}

/// Whether a plan did not know what would stand here.
fn is_unknown(place: &Place<'_>) -> bool {
    let Some(mut marks) = place.root.get("unknown") else {
        return false;
    };
    let pointer = place.pointer();
    for step in pointer.split('/').skip(1) {
        marks = match marks {
            Value::Array(_) => match step.parse() {
                Ok(at) => marks::item(marks, at),
                Err(_) => return false,
            },
            marks => marks::member(marks, &step.replace("~1", "/").replace("~0", "~")),
        };
    }
    matches!(marks, Value::Bool(true))
}

/// For the state: its lineage is compared; its serial counts how often it was written, and never
/// goes back; the version is of whatever wrote it last, which says nothing of what stands in it.
pub(super) struct StateRules;

impl Rules for StateRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        place.is(&["terraformVersion"])
    }

    fn same(&self, place: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        let older = found.as_u64() < recorded.as_u64();
        place.is(&["serial"]) && found.is_u64() && recorded.is_u64() && !older
    }

    fn says_nothing(&self, place: &Place<'_>, _recorded: &Value) -> bool {
        // A state that is not told is no older one; its lineage is missing then.
        place.is(&["serial"])
    }

    fn alarms(&self, _: &Place<'_>, _: &Value) -> bool {
        false
    }
}
