//! `cairn watch`: tells owners what others record, from verified data.
//!
//! Invariant: an event is passed over only after it was printed, or its command or hook took it; a run
//! that ends in between is followed by one that tells of it again.

use std::time::{Duration, Instant};

use cairn_client::{
    detail::shortened,
    error::ClientError,
    ledger::Ledger,
    policies::Policies,
    read::LoggedKind,
    verdict::Verdict,
    watch::{News, Noticed, Place},
};
use cairn_proto::{
    hash::{Index, KeyId},
    name::Pattern,
};
use serde_json::{Value, json};

use super::{
    deliver::Channel,
    policy::key_of,
    read::{act, extend, logged_json},
};
use crate::{cli, failure::Failure, output::complain, session::Session};

/// Characters of a reason in a line.
const REASON_CHARS_MAX: usize = 120;

/// What is told of.
struct Filter {
    patterns: Vec<Pattern>,
    keys: Vec<KeyId>,
}

/// `cairn watch`
pub(crate) async fn watch(session: &Session, args: &cli::Watch) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let channel = &Channel::of(session, args)?;
    let mut silence = Silence::begin();
    let policies = loop {
        match ledger.policies().await {
            Ok(policies) => break policies,
            Err(error) => trouble(channel, args, error).await?,
        }
        silence.tell(channel, args).await?;
        pause(args).await;
    };
    let filter = Filter::new(args, &policies)?;
    let mut place = place(&ledger, args, &policies)?;
    loop {
        let more = match ledger.news(place.next()).await {
            Ok(news) => {
                tell_all(channel, &filter, &news, &mut place).await?;
                if is_fresh(&news, args) {
                    silence = Silence::begin();
                } else if args.once {
                    silence.long = true;
                }
                news.more
            }
            Err(error) => {
                trouble(channel, args, error).await?;
                false
            }
        };
        silence.tell(channel, args).await?;
        if more {
            continue;
        }
        if args.once {
            return Ok(0);
        }
        pause(args).await;
    }
}

async fn pause(args: &cli::Watch) {
    tokio::time::sleep(Duration::from_secs(args.interval.max(1))).await;
}

/// Since when nothing young was shown, and whether that was told.
struct Silence {
    since: Instant,
    told: bool,
    /// What is shown is too old already, however short this run.
    long: bool,
}

impl Silence {
    fn begin() -> Self {
        Self {
            since: Instant::now(),
            told: false,
            long: false,
        }
    }

    /// Tells of it once, after the time that was asked for.
    async fn tell(&mut self, channel: &Channel, args: &cli::Watch) -> Result<(), Failure> {
        let Some(after) = args.silent_after else {
            return Ok(());
        };
        let seconds = self.since.elapsed().as_secs();
        if self.told || (seconds < after && !self.long) {
            return Ok(());
        }
        self.told = true;
        let event = json!({ "event": "silent", "what": null, "seconds": seconds });
        let line = format!("silent    no checkpoint younger than {after} s");
        channel.tell(event, &line).await
    }
}

fn place(ledger: &Ledger, args: &cli::Watch, policies: &Policies) -> Result<Place, Failure> {
    let name = args.name.as_str();
    let begin = |index| Place::begin(ledger, name, index);
    if let Some(from) = args.from() {
        return Ok(begin(from)?);
    }
    match Place::load(ledger, name)? {
        Some(place) => Ok(place),
        None => Ok(begin(Index(policies.checkpoint().head().size().0))?),
    }
}

fn is_fresh(news: &News, args: &cli::Watch) -> bool {
    match (args.silent_after, news.age) {
        (Some(after), Some(age)) => age <= after,
        (Some(_), None) => false,
        (None, _) => true,
    }
}

async fn tell_all(
    channel: &Channel,
    filter: &Filter,
    news: &News,
    place: &mut Place,
) -> Result<(), Failure> {
    for noticed in &news.entries {
        if filter.wants(noticed) {
            let (event, line) = describe(noticed);
            channel.tell(event, &line).await?;
            // One by one: after a failure only what was not told is told again.
            place.advance(Index(noticed.logged.index.0.saturating_add(1)))?;
        }
    }
    if place.next() < news.next {
        place.advance(news.next)?;
    }
    Ok(())
}

/// What keeps the watch from looking. What says something of the ledger is an event, and the
/// end: whoever runs this must look. Everything else may pass.
async fn trouble(channel: &Channel, args: &cli::Watch, error: ClientError) -> Result<(), Failure> {
    let alarming = matches!(
        error.verdict(),
        Some(Verdict::Tampered | Verdict::Untrusted | Verdict::Stale)
    );
    if alarming {
        let event = json!({
            "event": "alarm",
            "code": error.code(),
            "what": error.to_string(),
            "evidence": error.evidence(),
        });
        let line = format!("ALARM     {error} [{}]", error.code());
        channel.tell(event, &line).await?;
        return Err(error.into());
    }
    // An answer that proves nothing is no better than none, and may be better the next time.
    let passing = error.may_go_better();
    if passing && args.once && args.silent_after.is_some() {
        let event = json!({ "event": "silent", "what": error.to_string() });
        channel.tell(event, &format!("silent    {error}")).await?;
    }
    if !passing || args.once {
        return Err(error.into());
    }
    complain(format!("  note      {error}"));
    Ok(())
}

impl Filter {
    fn new(args: &cli::Watch, policies: &Policies) -> Result<Self, Failure> {
        let mut keys = Vec::new();
        for text in &args.keys {
            let mut keyid = [0; 32];
            if hex::decode_to_slice(text, &mut keyid).is_ok() {
                keys.push(KeyId(keyid));
                continue;
            }
            // Whatever the name stood for in any version: a key that was revoked, or replaced, is
            // worth watching all the more.
            let versions = policies.chain().steps();
            let found = versions.map(|step| key_of(&step.policy, text));
            let (found, missing): (Vec<_>, Vec<_>) = found.partition(Result::is_ok);
            if let (true, Some(Err(failure))) = (found.is_empty(), missing.into_iter().next()) {
                return Err(failure);
            }
            keys.extend(found.into_iter().flatten().map(|key| key.id()));
        }
        Ok(Self {
            patterns: args.patterns.clone(),
            keys,
        })
    }

    /// What breaks a rule, and what admins do, is always told of.
    fn wants(&self, noticed: &Noticed) -> bool {
        let everything = self.patterns.is_empty() && self.keys.is_empty();
        let environment = match &noticed.logged.kind {
            LoggedKind::Release(release) => Some(&release.environment),
            LoggedKind::Approval(approval) => Some(&approval.environment),
            _ => None,
        };
        let named = environment.is_some_and(|environment| {
            let mut patterns = self.patterns.iter();
            patterns.any(|pattern| pattern.matches(environment))
        });
        let mut keyids = noticed.logged.keyids.iter();
        let signed = keyids.any(|keyid| self.keys.contains(keyid));
        let kind = &noticed.logged.kind;
        let by_admins = matches!(kind, LoggedKind::Policy(_) | LoggedKind::Order(_));
        everything || named || signed || by_admins || noticed.broken.is_some()
    }
}

/// The event for scripts, and the line for people.
fn describe(noticed: &Noticed) -> (Value, String) {
    let logged = &noticed.logged;
    let mut event = logged_json(logged);
    let broken = noticed.broken.as_ref();
    let name = match (&logged.kind, broken) {
        (_, Some(_)) => "broken",
        (LoggedKind::Release(_), _) => "release",
        (LoggedKind::Policy(_), _) => "policy",
        (LoggedKind::Approval(_), _) => "approval",
        (LoggedKind::Enrolment(_), _) => "host",
        (LoggedKind::Order(_), _) => "order",
        _ => "genesis",
    };
    extend(
        &mut event,
        json!({
            "event": name,
            "signers": noticed.signers,
            "code": broken.map(|rule| rule.reason().code()),
        }),
    );
    let what = match &logged.kind {
        LoggedKind::Release(release) => {
            let reason = release.reason.as_deref().unwrap_or_default();
            let reason = shortened(reason, REASON_CHARS_MAX);
            let act = act(release);
            format!(
                "{}#{}  {act}  {reason}",
                release.environment, release.sequence
            )
        }
        LoggedKind::Policy(version) => format!("policy {version}"),
        LoggedKind::Unreadable => "no entry".to_owned(),
        LoggedKind::Approval(approval) => {
            format!("{}#{}", approval.environment, approval.sequence)
        }
        LoggedKind::Enrolment(enrolment) => enrolment.action.as_str().to_owned(),
        LoggedKind::Order(order) => format!("{}  {}", order.number, order.kind.as_str()),
        _ => "the ledger began".to_owned(),
    };
    let index = logged.index;
    let by = noticed.signers.join(", ");
    let rule = broken.map_or_else(String::new, |rule| format!("  BROKEN: {rule}"));
    let line = format!(
        "{name:<9} index {index}  {}  by {by}{rule}",
        what.trim_end()
    );
    (event, line)
}
