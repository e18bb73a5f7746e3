//! Bundles, verified offline by the steps of SPEC.md section 9.

use cairn_proto::{
    bundle::Bundle,
    checkpoint::{Checkpoint, History, SignedCheckpoint, TrustedCheckpoint},
    hash::{ContentId, RootHash, Sha256, TreeSize},
    key::{SecretKey, Signer as _},
    name::Environment,
    reason::Reason,
    trust::Trust,
    verify::{ApprovedRelease, Current, TrustedMap, VerifyError, current, succession},
};
use serde_json::{Value, json};

use crate::vectors::{Cases, hash_of, judged, number_of, text_of};

/// A step of section 9, 0 for the container or 9 for section 9.1, and why it refuses.
pub(crate) type Refusal = (u64, Reason);

/// What a verifier knows beside the bundle.
#[derive(Debug)]
pub(crate) struct Verifier {
    trust: Trust,
    environment: Environment,
    now: u64,
    held: Option<Held>,
}

#[derive(Debug)]
struct Held {
    head: TrustedCheckpoint,
    sequence: u64,
    policy_version: u64,
}

pub(crate) fn trust(file: &Value) -> Trust {
    cairn_client::trust::parse(file.to_string().as_bytes()).unwrap()
}

/// A key of the vectors: its seed is the SHA-256 of its name.
fn secret(name: &str) -> SecretKey {
    let seed = Sha256::of(format!("cairn vectors key {name}").as_bytes());
    SecretKey::from_seed(seed.as_bytes()).unwrap()
}

/// The vectors tell held state by size and root; the types ask for a note, so that one is
/// signed here with the log's key.
fn held(trust: &Trust, told: &Value) -> Held {
    let origin = trust.origin();
    let log = secret(&format!("{origin} log"));
    let clock = secret(&format!("{origin} clock"));
    assert_eq!(log.public_key(), *trust.log_key().key());
    let checkpoint = Checkpoint {
        origin: origin.clone(),
        size: TreeSize(number_of(told, "size")),
        root: RootHash(hash_of(told, "root_hex")),
    };
    let note = checkpoint.sign(&log, &clock, 1).unwrap();
    let head = SignedCheckpoint::parse(&note).unwrap();
    Held {
        head: head.authenticate(trust, 1).unwrap().trust_first(),
        sequence: number_of(told, "sequence"),
        policy_version: number_of(told, "policy_version"),
    }
}

impl Verifier {
    pub(crate) fn of(case: &Value) -> Self {
        let trust = trust(&case["trust"]);
        let told = &case["held"];
        Self {
            environment: text_of(case, "environment").parse().unwrap(),
            now: number_of(case, "now"),
            held: told.is_object().then(|| held(&trust, told)),
            trust,
        }
    }

    /// Section 9.1: keys that the trust file does not know, by orders that the bundle carries.
    pub(crate) fn succeeded(self, bytes: &[u8]) -> Result<Self, Refusal> {
        let bundle = Bundle::decode(bytes).map_err(|error| (0, error.reason()))?;
        let (note, evidence) = (&bundle.checkpoint, &bundle.evidence);
        match succession(&self.trust, note, evidence, self.now) {
            Ok(trust) => Ok(Self { trust, ..self }),
            Err(VerifyError::Lacks { .. }) => Ok(self),
            Err(error) => Err((9, error.reason())),
        }
    }

    pub(crate) fn trust(&self) -> &Trust {
        &self.trust
    }

    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<Verified, Refusal> {
        let bundle = Bundle::decode(bytes).map_err(|error| (0, error.reason()))?;
        assert_eq!(bundle.encode().as_deref(), Some(bytes));
        let head = SignedCheckpoint::parse(&bundle.checkpoint)
            .and_then(|signed| signed.authenticate(&self.trust, self.now))
            .map_err(|error| (1, error.reason()))?;
        let head = match &self.held {
            None => head.trust_first(),
            Some(known) => head
                .trust_offline(&known.head)
                .map_err(|error| (2, error.reason()))?,
        };
        // Steps 3 to 7 are one call; which of them refuses is told by the reason.
        let (environment, evidence) = (&self.environment, &bundle.evidence);
        let found = current(&self.trust, &head, environment, evidence, self.now)
            .map_err(|error| (3, error.reason()))?;
        let release = match found {
            Current::Release(release) => release,
            Current::Compromised(compromised) => return Err((3, compromised.why().reason())),
            Current::Absent(_) => panic!("a bundle carries a release"),
        };
        self.not_below_held(&head, &release)?;
        Ok(Verified {
            bundle,
            head,
            release: *release,
        })
    }

    /// Whoever keeps state does this; the protocol crate keeps none.
    fn not_below_held(
        &self,
        head: &TrustedCheckpoint,
        release: &ApprovedRelease,
    ) -> Result<(), Refusal> {
        let Some(known) = &self.held else {
            return Ok(());
        };
        let below = release.release().sequence.0 < known.sequence
            || release.terms().policy_version < known.policy_version;
        if head.history() == History::Unlinked && below {
            return Err((4, Reason::RolledBack));
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Verified {
    bundle: Bundle,
    head: TrustedCheckpoint,
    release: ApprovedRelease,
}

impl Verified {
    /// Version of the policy in force at the release's entry.
    fn in_force(&self, trust: &Trust) -> u64 {
        let evidence = &self.bundle.evidence;
        let inclusion = &evidence.map_record_inclusion;
        let map = TrustedMap::prove(&self.head, &evidence.map_record, inclusion).unwrap();
        let (row, proof) = (&evidence.policy_row, &evidence.policy_proof);
        let chain = map.policies(trust, row, proof, &evidence.policies).unwrap();
        let authority = chain.authority_at(self.release.index()).unwrap();
        authority.step().policy.version.0
    }

    pub(crate) fn compare(&self, case: &Value, verifier: &Verifier) {
        let head = self.head.head();
        let history = match self.head.history() {
            History::First => Value::Null,
            History::Linked => "same".into(),
            History::Unlinked => "unlinked".into(),
            History::Behind { .. } => panic!("no proof was at hand"),
        };
        let release = self.release.release();
        assert_eq!(history, case["history"]);
        assert_eq!(head.size().0, number_of(case, "size"));
        assert_eq!(release.sequence.0, number_of(case, "sequence"));
        assert_eq!(release.action.as_str(), text_of(case, "action"));
        assert_eq!(self.release.index().0, number_of(case, "index"));
        let version = number_of(case, "policy_version");
        assert_eq!(self.release.terms().policy_version, version);
        let in_force = number_of(case, "policy_in_force");
        assert_eq!(self.in_force(&verifier.trust), in_force);
        let digest = self.release.manifest().artifacts_digest().to_string();
        assert_eq!(digest, text_of(case, "artifacts_digest_hex"));
        let age = head.time().map(|time| verifier.now - time);
        assert_eq!(age, case["age_seconds"].as_u64());
        let staleness = self.release.terms().max_staleness;
        assert_eq!(staleness, case["max_staleness_seconds"].as_u64());
        self.compare_standing(case);
        let audited = self.head.head().audited();
        assert_eq!(audited.map(|it| it as u64), case["audited"].as_u64());
        let lacks = self.head.head().lacks_auditors();
        let lacks = lacks.map_or(Value::Null, |(found, needed)| json!([found, needed]));
        assert_eq!(lacks, case["lacks_auditors"]);
        let asked = self.release.terms().witnesses;
        let pair = |pair: Option<(usize, usize)>| {
            pair.map_or(Value::Null, |(found, needed)| json!([found, needed]))
        };
        assert_eq!(pair(head.witnesses(asked)), case["witnesses"], "{case}");
        assert_eq!(
            pair(head.lacks_witnesses(asked)),
            case["lacks_witnesses"],
            "{case}"
        );
    }

    /// By what the release stands, and until when.
    fn compare_standing(&self, case: &Value) {
        let release = &self.release;
        let by = match (release.approval(), release.until()) {
            (Some(_), _) => "approval",
            (None, Some(_)) => "order",
            (None, None) => "signers",
        };
        assert_eq!(by, text_of(case, "stands_by"), "{case}");
        assert_eq!(release.until(), case["until"].as_u64(), "{case}");
    }
}

/// A case with what it has of its base, and its bundle.
pub(crate) fn whole(cases: &Cases, case: &Value) -> (Value, Vec<u8>) {
    let Some(base) = case["base"].as_str() else {
        let text = text_of(case, "bundle_text");
        return (case.clone(), text.as_bytes().to_vec());
    };
    let (mut merged, bundle) = whole(cases, cases.named(base));
    let own = case.as_object().unwrap().clone();
    merged.as_object_mut().unwrap().extend(own);
    let bundle = String::from_utf8(bundle).unwrap();
    (merged, edited(case, &bundle))
}

/// A base bundle with the case's edits made, and sealed again where it says so.
fn edited(case: &Value, base: &str) -> Vec<u8> {
    let mut lines: Vec<Option<String>> = base.lines().map(|line| Some(line.to_owned())).collect();
    for edit in case["edits"].as_array().unwrap() {
        let line = &mut lines[usize::try_from(number_of(edit, "line")).unwrap()];
        let text = edit["text"].as_str().map(str::to_owned);
        *line = match edit["word"].as_u64() {
            None => text,
            Some(word) => {
                let old = line.clone().unwrap();
                let mut words: Vec<_> = old.split(' ').collect();
                let text = text.unwrap();
                words[usize::try_from(word).unwrap()] = &text;
                Some(words.join(" "))
            }
        };
    }
    let mut lines: Vec<_> = lines.into_iter().flatten().collect();
    if case["reseal"] == true {
        lines.pop();
        return sealed(&format!("{}\n", lines.join("\n")));
    }
    format!("{}\n", lines.join("\n")).into_bytes()
}

/// The text with a closing line that fits it.
pub(crate) fn sealed(body: &str) -> Vec<u8> {
    format!("{body}blake3 {}\n", ContentId::of(body.as_bytes())).into_bytes()
}

/// The first bundle of the file, and what it takes to verify it.
pub(crate) fn first() -> (String, impl Fn(&[u8]) -> Result<String, Reason>) {
    let cases = Cases::of("bundle.json");
    let case = cases.named("prod/web at sequence 2").clone();
    let verifier = Verifier::of(&case);
    let text = text_of(&case, "bundle_text").to_owned();
    let verify = move |bytes: &[u8]| {
        let found = verifier.verify(bytes).map_err(|(_, reason)| reason)?;
        let (head, release) = (found.head.head(), &found.release);
        // The age may become unknown, but never another.
        let time = head.time().filter(|time| verifier.now - time != 60);
        Ok(format!(
            "{:?} {} {time:?} {release:?}",
            head.size(),
            head.root()
        ))
    };
    (text, verify)
}

#[test]
fn bundles_are_verified_as_the_spec_says_and_refused_at_the_stated_step() {
    let kinds = ["good", "container", "head", "history", "proofs"];
    Cases::of("bundle.json").each(&kinds, |cases, case| {
        let (case, bytes) = &whole(cases, case);
        let verifier = Verifier::of(case);
        let found = verifier.verify(bytes);
        let step = found.as_ref().err().map(|(step, _)| *step);
        if let Some(verified) = judged(case, found.map_err(|(_, reason)| reason)) {
            verified.compare(case, &verifier);
            return "good".to_owned();
        }
        // Steps 3 to 7 are not told apart here.
        assert_eq!(
            step.map(|step| step.min(3)),
            case["step"].as_u64().map(|step| step.min(3))
        );
        match number_of(case, "step") {
            0 => "container",
            1 => "head",
            2 => "history",
            3..=7 => "proofs",
            other => panic!("there is no step {other}"),
        }
        .to_owned()
    });
}
