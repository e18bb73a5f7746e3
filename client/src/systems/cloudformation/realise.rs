//! The commands that bring about stacks as they were recorded.

use serde_json::Value;

use super::{super::aws::items, wanted::Wanted};
use crate::detail::shell_word;

/// All of them, each after the other; `None` where no template was recorded.
pub(super) fn command(stacks: &[Wanted], reference: &str) -> Option<String> {
    let stacks = stacks.iter().filter(|wanted| wanted.template.is_some());
    let stacks: Vec<_> = stacks.collect();
    let (_, others) = stacks.split_first()?;
    let all: Vec<_> = stacks.iter().map(|wanted| deploy(wanted)).collect();
    let template = if others.is_empty() {
        "the template"
    } else {
        "each one's template"
    };
    let parameters = if stacks.iter().any(|wanted| has_parameters(wanted)) {
        " and the parameters"
    } else {
        ""
    };
    let all = all.join(" && ");
    Some(format!(
        "{all}, with {template}{parameters} that {reference} was made from"
    ))
}

fn deploy(wanted: &Wanted) -> String {
    let name = shell_word(wanted.name.as_bytes());
    let mut command = if has_parameters(wanted) {
        // `deploy` would leave the values of all parameters that are not said.
        format!(
            "aws cloudformation update-stack --stack-name {name} --template-body \
             file://TEMPLATE --parameters file://PARAMETERS"
        )
    } else {
        format!("aws cloudformation deploy --stack-name {name} --template-file TEMPLATE")
    };
    let granted = wanted.stack.iter();
    let granted = granted.flat_map(|(_, stack)| items(stack, "Capabilities"));
    for (at, word) in granted.filter_map(Value::as_str).enumerate() {
        command.push_str(if at == 0 { " --capabilities " } else { " " });
        command.push_str(&shell_word(word.as_bytes()));
    }
    command
}

fn has_parameters(wanted: &Wanted) -> bool {
    let told = wanted.stack.iter().chain(&wanted.parameters);
    let mut told = told.filter_map(|(_, object)| object.get("Parameters")?.as_object());
    told.any(|parameters| !parameters.is_empty())
}
