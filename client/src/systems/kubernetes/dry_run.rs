//! Having the API itself compare: what was recorded is applied to it without being stored, and
//! what it would make of that is held against what is live.
//!
//! A second opinion: asked only of what is a match by the rules, and where the API would change
//! something it is none. In one case alone its word makes a match, and then anybody can see it: in
//! a resource whose type only the API knows, an amount that it spells in another unit. Nothing
//! else is taken for the same: a webhook may have put words into its mouth.

use cairn_proto::{manifest::Withheld, name::ArtifactName, reason::Reason};
use serde_json::{Value, json};

use super::{
    super::{
        strict::any_text,
        tool::{Said, Tool},
    },
    Desk, Identity, by_identity, documents, matches, quantity,
    rules::{ObjectRules, is_own},
    secrets, take,
};
use crate::{
    compare::{Place, Rules, compare_as_signed},
    detail::printable,
    sources::{Recorded, SourceError},
};

/// Objects that kubectl is given at a time: it asks the API for each.
const AT_ONCE: usize = 50;
/// Times that kubectl is run again for what the API refuses: of several objects it prints nothing
/// if one is refused, so that they are halved, which takes some ten runs for each.
const RUNS_MAX: usize = 512;

/// An object that is live, and what was recorded of it.
struct Pair {
    name: ArtifactName,
    live: Value,
    recorded: Value,
}

/// What is live, as it is to be compared. What the API contradicts, or does not tell, is laid
/// down as unmeasured.
pub(super) fn heard(
    live: Vec<(ArtifactName, Value)>,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<Vec<(ArtifactName, Value)>, SourceError> {
    let (mut heard, mut pairs) = (Vec::new(), Vec::new());
    let (mut told, mut withheld) = (0, 0);
    for (name, live) in live {
        let known = recorded.object(name.as_str());
        let Some(known) = known.filter(|known| !is_withheld(known)) else {
            withheld += 1;
            heard.push((name, live));
            continue;
        };
        let pair = Pair {
            name,
            live,
            recorded: known,
        };
        if matches(&pair.name, &pair.live, recorded) || !is_own(&pair.recorded) {
            pairs.push(pair);
        } else {
            // It differs, whatever the API makes of it.
            heard.push((pair.name, pair.live));
        }
    }
    let mut questions = Questions::default();
    while !pairs.is_empty() {
        let rest = pairs.split_off(pairs.len().min(AT_ONCE));
        questions.ask(std::mem::replace(&mut pairs, rest))?;
    }
    for (pair, made) in questions.answers {
        match made.and_then(|made| judge(&pair, &made, recorded)) {
            Ok(live) => {
                told += 1;
                heard.push((pair.name, live));
            }
            Err(why) if matches(&pair.name, &pair.live, recorded) => {
                desk.unmeasured(&pair.name, Reason::ToolFailed, why);
            }
            Err(_) => heard.push((pair.name, pair.live)),
        }
    }
    desk.note(format!(
        "as the API itself would make them, in a dry run: {told}; with withheld values, and not put \
         to it: {withheld}"
    ));
    Ok(heard)
}

/// What the API is asked, and what it makes of each object or why it makes nothing.
#[derive(Default)]
struct Questions {
    runs: usize,
    answers: Vec<(Pair, Result<Value, String>)>,
}

impl Questions {
    fn ask(&mut self, pairs: Vec<Pair>) -> Result<(), SourceError> {
        let said = apply(&pairs)?;
        let failure = said.failure().to_string();
        let from = "kubectl apply --dry-run=server";
        let made = said
            .output()
            .and_then(|said| by_identity(documents::read(from, &said)?, from));
        let mut made = match made {
            Ok(made) => made,
            Err(error) if pairs.len() == 1 || self.runs >= RUNS_MAX => {
                let why = format!("the API does not say what it makes of it: {error}");
                let pairs = pairs.into_iter();
                self.answers
                    .extend(pairs.map(|pair| (pair, Err(why.clone()))));
                return Ok(());
            }
            Err(_) => {
                let mut pairs = pairs;
                let rest = pairs.split_off(pairs.len() / 2);
                self.runs += 2;
                self.ask(pairs)?;
                return self.ask(rest);
            }
        };
        for pair in pairs {
            let identity = Identity::of(&pair.live, "kubectl get")?;
            let made = take(&mut made, &identity);
            let made =
                made.ok_or_else(|| format!("the API did not say what it makes of it: {failure}"));
            self.answers.push((pair, made));
        }
        Ok(())
    }
}

fn apply(pairs: &[Pair]) -> Result<Said, SourceError> {
    let items = pairs.iter().map(|Pair { live, recorded, .. }| {
        let mut object = recorded.clone();
        // Recorded without a namespace, it went to the caller's, where it was found.
        if let Some(namespace) = live.pointer("/metadata/namespace") {
            object["metadata"]["namespace"] = namespace.clone();
        }
        object
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items.collect::<Vec<_>>()});
    let arguments = [
        "apply",
        "--server-side",
        "--dry-run=server",
        "--force-conflicts",
        "--field-manager=cairn",
        "--validate=ignore",
        "--output=json",
        "--filename=-",
    ];
    let said = Tool::new("kubectl", &arguments)
        .reads(list.to_string().into_bytes())
        .run()?;
    match said.failure() {
        error @ SourceError::Unreachable { .. } => Err(error),
        _ => Ok(said),
    }
}

/// The live object as it is to be compared, or why there is nothing to compare.
fn judge(pair: &Pair, made: &Value, recorded: &Recorded<'_>) -> Result<Value, String> {
    let manifest = recorded.manifest();
    let would = compare_as_signed(manifest, &pair.name, (made, &pair.live), &AsMade).differences;
    let mut live = pair.live.clone();
    if !is_own(&pair.recorded) {
        settle(&pair.recorded, made, &mut live);
    }
    match would.first() {
        Some(change) if matches(&pair.name, &live, recorded) => Err(format!(
            "it looks the same, but the API would change {} if it were applied",
            printable(&change.path)
        )),
        _ => Ok(live),
    }
}

/// Writes amounts as they were recorded where the API says, and anybody can see, that they are the
/// same in another unit. Items of lists are not told apart here: those stay as they are.
fn settle(recorded: &Value, made: &Value, live: &mut Value) {
    match (recorded, made, live) {
        (Value::Object(recorded), Value::Object(made), Value::Object(live)) => {
            for (name, value) in recorded {
                if let (Some(made), Some(live)) = (made.get(name), live.get_mut(name)) {
                    settle(value, made, live);
                }
            }
        }
        (recorded, made, live)
            if made == live
                && (has_unit(recorded) || has_unit(live))
                && quantity::same(recorded, live) =>
        {
            *live = recorded.clone();
        }
        _ => {}
    }
}

/// Whether it says what it counts: `007` is not `7` to everybody, `1000m` is no number to anybody.
fn has_unit(value: &Value) -> bool {
    let last = value.as_str().and_then(|text| text.chars().last());
    last.is_some_and(|letter| letter.is_ascii_alphabetic())
}

fn is_withheld(value: &Value) -> bool {
    any_text(value, &|text| text.starts_with(Withheld::IN_OBJECT))
}

/// Two answers of the API: all counts but what changes with each.
struct AsMade;

impl Rules for AsMade {
    fn passes_over(&self, place: &Place<'_>) -> bool {
        ObjectRules.passes_over(place) || secrets::is_own_metadata(place)
    }

    fn keys(&self, place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        ObjectRules.keys(place)
    }
}
