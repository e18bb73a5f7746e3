//! What admins order: erasing contents, a while with fewer approvals, other log keys. SPEC.md
//! section 4.1.
//!
//! Out of scope: whether an order may follow (`rules`). Invariant: an order is well formed, one
//! spelling.

use crate::{
    hash::ContentId,
    json::{Field, JsonError, Members, Value, ascending, parse_canonical},
    limits::{
        ERASURES_MAX, JSON_INTEGER_MAX, NOTE_BYTES_MAX, ORDER_BYTES_MAX, SECONDS_MAX,
        SIGNATURES_MAX, TEXT_BYTES_MAX,
    },
    name::Pattern,
    note::VerifierKey,
    reason::Reason,
    statement::OrderKind,
};

const REDACTION: &str = "cairn.redaction/v1";
const BREAK_GLASS: &str = "cairn.break-glass/v1";
const KEY_SUCCESSION: &str = "cairn.key-succession/v1";

/// Contents whose bytes are erased. What names them stays, and every proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// Which, ascending, 1 to 1,024.
    pub contents: Vec<ContentId>,
    /// Why.
    pub reason: String,
}

/// What the policy asks for is less for a while, in some environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakGlass {
    /// Where.
    pub environments: Pattern,
    /// Deployers that are enough for a release that names this order, 1 to 16.
    pub approvals: Option<usize>,
    /// Seconds that a proof may be old.
    pub max_staleness: Option<u64>,
    /// Until when, Unix seconds.
    pub expires: u64,
    /// Why.
    pub reason: String,
}

/// Other keys sign checkpoints from this order's index on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySuccession {
    /// Signs checkpoints.
    pub log_key: VerifierKey,
    /// Bounds their age.
    pub clock_key: VerifierKey,
    /// The last checkpoint that the keys before signed: a note.
    pub head: String,
    /// Why.
    pub reason: String,
}

/// An order's document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderDocument {
    /// Erases contents.
    Redaction(Redaction),
    /// Asks for less for a while.
    BreakGlass(BreakGlass),
    /// Names other keys.
    KeySuccession(Box<KeySuccession>),
}

impl OrderDocument {
    /// What kind of order it is.
    pub fn kind(&self) -> OrderKind {
        match self {
            Self::Redaction(_) => OrderKind::Redaction,
            Self::BreakGlass(_) => OrderKind::BreakGlass,
            Self::KeySuccession(_) => OrderKind::KeySuccession,
        }
    }

    /// Why it was given.
    pub fn reason(&self) -> &str {
        match self {
            Self::Redaction(order) => &order.reason,
            Self::BreakGlass(order) => &order.reason,
            Self::KeySuccession(order) => &order.reason,
        }
    }

    /// Reads the canonical bytes of an order of a kind.
    pub fn decode(kind: OrderKind, bytes: &[u8]) -> Result<Self, JsonError> {
        if bytes.len() > ORDER_BYTES_MAX {
            return Err(JsonError::new(Reason::DocumentTooLarge, ""));
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        members.schema(match kind {
            OrderKind::Redaction => REDACTION,
            OrderKind::BreakGlass => BREAK_GLASS,
            OrderKind::KeySuccession => KEY_SUCCESSION,
        })?;
        let reason = members.take("reason")?;
        let reason = reason.text(1..=TEXT_BYTES_MAX)?.to_owned();
        let order = match kind {
            OrderKind::Redaction => Self::Redaction(decode_redaction(&mut members, reason)?),
            OrderKind::BreakGlass => Self::BreakGlass(decode_break_glass(&mut members, reason)?),
            OrderKind::KeySuccession => {
                Self::KeySuccession(Box::new(decode_succession(&mut members, reason)?))
            }
        };
        members.finish()?;
        Ok(order)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut members = vec![("reason", Value::text(self.reason()))];
        match self {
            Self::Redaction(order) => {
                let contents = order.contents.iter().map(Value::text).collect();
                members.push(("contents", Value::Array(contents)));
                members.push(("schema", Value::text(REDACTION)));
            }
            Self::BreakGlass(order) => {
                let approvals = order.approvals.map(|it| u64::try_from(it).unwrap_or(1));
                members.extend(approvals.map(|it| ("approvals", Value::number(it))));
                let staleness = order.max_staleness;
                members.extend(staleness.map(|it| ("maxStaleness", Value::number(it))));
                members.push(("environments", Value::text(&order.environments)));
                members.push(("expires", Value::number(order.expires)));
                members.push(("schema", Value::text(BREAK_GLASS)));
            }
            Self::KeySuccession(order) => {
                members.push(("clockKey", Value::text(&order.clock_key)));
                members.push(("head", Value::text(&order.head)));
                members.push(("logKey", Value::text(&order.log_key)));
                members.push(("schema", Value::text(KEY_SUCCESSION)));
            }
        }
        Value::object(members).encode()
    }
}

fn decode_redaction(members: &mut Members<'_>, reason: String) -> Result<Redaction, JsonError> {
    let field = members.take("contents")?;
    let wrong_order = field.invalid();
    let items = field.array(1..=ERASURES_MAX)?.into_iter();
    let contents: Vec<_> = items
        .map(|item| item.hex32().map(ContentId))
        .collect::<Result<_, _>>()?;
    // To erase no bytes would forbid every empty file, and destroy nothing.
    let nothing = contents.contains(&ContentId::of(b""));
    ascending(&contents, "").map_err(|_| wrong_order.clone())?;
    if nothing {
        return Err(wrong_order);
    }
    Ok(Redaction { contents, reason })
}

fn decode_break_glass(members: &mut Members<'_>, reason: String) -> Result<BreakGlass, JsonError> {
    let environments = members.take("environments")?;
    let nothing = environments.invalid();
    let most = u64::try_from(SIGNATURES_MAX / 2).unwrap_or(1);
    let approvals = members.take_optional("approvals");
    let approvals = approvals.map(|field| {
        let number = field.number(1..=most)?;
        usize::try_from(number).map_err(|_| field.invalid())
    });
    let staleness = members.take_optional("maxStaleness");
    let staleness = staleness.map(|field| field.number(1..=SECONDS_MAX));
    let order = BreakGlass {
        environments: environments.parsed()?,
        approvals: approvals.transpose()?,
        max_staleness: staleness.transpose()?,
        expires: members
            .take("expires")?
            .number(1..=JSON_INTEGER_MAX.unsigned_abs())?,
        reason,
    };
    let asks = order.approvals.is_some() || order.max_staleness.is_some();
    asks.then_some(order).ok_or(nothing)
}

fn decode_succession(
    members: &mut Members<'_>,
    reason: String,
) -> Result<KeySuccession, JsonError> {
    let head = members.take("head")?;
    Ok(KeySuccession {
        log_key: members.take("logKey")?.parsed()?,
        clock_key: members.take("clockKey")?.parsed()?,
        head: head.text(1..=NOTE_BYTES_MAX / 2)?.to_owned(),
        reason,
    })
}
