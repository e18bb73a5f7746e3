//! How images and containers are compared: all of a field is the same, or it is a difference.
//! What Docker writes in one version as nothing and in another leaves out is nothing.

use serde_json::Value;

use super::container::says_nothing;
use crate::compare::{Place, Rules};

pub(super) struct ImageRules;

impl Rules for ImageRules {
    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        if place.is(&["platforms"]) {
            return &[("platform", "")];
        }
        &[]
    }
}

pub(super) struct ContainerRules;

impl Rules for ContainerRules {
    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        if place.is(&["mounts"]) {
            return &[("destination", "")];
        }
        &[]
    }

    fn same(&self, _: &Place<'_>, recorded: &Value, found: &Value) -> bool {
        says_nothing(recorded) && says_nothing(found)
    }

    fn says_nothing(&self, place: &Place<'_>, recorded: &Value) -> bool {
        // A mount, a variable and a network are there, whatever is said of them.
        !place.is_item() && place.depth() == 2 && says_nothing(recorded)
    }

    fn alarms(&self, place: &Place<'_>, found: &Value) -> bool {
        place.is_item() || place.depth() != 2 || !says_nothing(found)
    }
}
