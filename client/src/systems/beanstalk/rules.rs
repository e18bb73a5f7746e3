//! How what AWS says of a version and of an environment is compared. What was recorded before
//! it was live says less than AWS does: the rest is listed. Variables of the application that
//! were added are a difference all the same.

use serde_json::Value;

use super::super::aws::ENVIRONMENT;
use crate::compare::{Place, Rules};

pub(super) struct VersionRules;

impl Rules for VersionRules {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        // The bytes are compared themselves: another version of the object may have the same.
        place.is(&["S3VersionId"])
    }

    fn alarms(&self, place: &Place<'_>, _found: &Value) -> bool {
        !place.last().starts_with("S3")
    }
}

pub(super) struct EnvironmentRules;

impl Rules for EnvironmentRules {
    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        if place.is(&["OptionSettings"]) {
            return &[("Namespace", ""), ("ResourceName", ""), ("OptionName", "")];
        }
        &[]
    }

    fn alarms(&self, place: &Place<'_>, _found: &Value) -> bool {
        let was_live = place.root.get("EnvironmentId").is_some();
        was_live || (place.is_item() && place.last().starts_with(ENVIRONMENT))
    }
}
