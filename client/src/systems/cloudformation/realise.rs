//! The commands that bring about stacks as they were recorded.

use serde_json::{Map, Value};

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
    let parameters = if stacks
        .iter()
        .any(|wanted| parameters(wanted).next().is_some())
    {
        " and the values"
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
    let mut command =
        format!("aws cloudformation deploy --stack-name {name} --template-file TEMPLATE");
    // What is not said keeps the value that it has, and so each is.
    for (at, key) in parameters(wanted).enumerate() {
        command.push_str(if at == 0 {
            " --parameter-overrides "
        } else {
            " "
        });
        command.push_str(&shell_word(format!("{key}=VALUE").as_bytes()));
    }
    let granted = wanted.stack.iter();
    let granted = granted.flat_map(|(_, stack)| items(stack, "Capabilities"));
    for (at, word) in granted.filter_map(Value::as_str).enumerate() {
        command.push_str(if at == 0 { " --capabilities " } else { " " });
        command.push_str(&shell_word(word.as_bytes()));
    }
    command
}

/// The names of the parameters that a stack had, or was to have.
fn parameters(wanted: &Wanted) -> impl Iterator<Item = &String> {
    let told = wanted.stack.iter().chain(&wanted.parameters);
    let told = told.filter_map(|(_, object)| object.get("Parameters")?.as_object());
    told.flat_map(Map::keys)
}
