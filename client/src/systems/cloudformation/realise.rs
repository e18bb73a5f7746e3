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
    // What is not said keeps the value that it has, and so each is.
    let values = parameters(wanted).map(|key| format!("{key}=VALUE"));
    let values = flag("--parameter-overrides", values);
    let granted = wanted.stack.iter();
    let granted = granted.flat_map(|(_, stack)| items(stack, "Capabilities"));
    let granted = granted.filter_map(Value::as_str).map(str::to_owned);
    let granted = flag("--capabilities", granted);
    format!(
        "aws cloudformation deploy --stack-name {name} --template-file TEMPLATE{values}{granted}"
    )
}

/// A flag and its words behind others, if it has any.
fn flag(name: &str, words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.map(|word| shell_word(word.as_bytes())).collect();
    if words.is_empty() {
        return String::new();
    }
    format!(" {name} {}", words.join(" "))
}

/// The names of the parameters that a stack had, or was to have.
fn parameters(wanted: &Wanted) -> impl Iterator<Item = &String> {
    let told = wanted.stack.iter().chain(&wanted.parameters);
    let told = told.filter_map(|(_, object)| object.get("Parameters")?.as_object());
    told.flat_map(Map::keys)
}
