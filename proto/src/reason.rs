//! The stable code of every refusal, and what to do about it.
//!
//! A code is what scripts match on: it is `ErrorInfo.reason` over gRPC, it stands in
//! brackets after an error on a terminal, and `cairn help CODE` explains it. Codes are
//! never reused and never change their meaning.

use std::{fmt, str::FromStr};

macro_rules! reasons {
    ($($name:ident $code:literal $what:literal $mend:literal;)*) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $(#[doc = $what] $name,)*
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)*];

            /// The stable code.
            pub const fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)* }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Reason::$name => $what,)* }
            }

            /// How to mend it, in a sentence.
            pub const fn mend(self) -> &'static str {
                match self { $(Reason::$name => $mend,)* }
            }
        }
    };
}

reasons! {
    JsonSyntax "JSON_SYNTAX" "The bytes are not one JSON value in UTF-8." "Write the document with cairn, or with any RFC 8785 library.";
    JsonDuplicateMember "JSON_DUPLICATE_MEMBER" "An object names a member twice, which readers understand differently." "Remove one of the two.";
    JsonNumber "JSON_NUMBER" "A number is not an integer within 2^53." "Use an integer, or text.";
    JsonTooDeep "JSON_TOO_DEEP" "Arrays and objects are nested too deeply." "Nothing that Cairn writes nests more than a few levels: find out who wrote this.";
    JsonNotCanonical "JSON_NOT_CANONICAL" "The JSON is not in its one canonical spelling." "No white space, members sorted by name, the shortest escapes: SPEC.md section 1.";
    JsonUnknownMember "JSON_UNKNOWN_MEMBER" "An object has a member that its schema does not describe." "Remove it, or use annotations for data of your own.";
    JsonMissingMember "JSON_MISSING_MEMBER" "A member that the schema requires is absent." "Add it: SPEC.md describes each schema.";
    JsonInvalidValue "JSON_INVALID_VALUE" "A value has the wrong type, shape or order, or is out of bounds." "See the field that the message names in SPEC.md.";
    NeedsNewerCairn "NEEDS_NEWER_CAIRN" "A schema, entry kind or map version is newer than this program." "Install a newer cairn; nothing is known to be wrong.";
    KeyWeak "KEY_WEAK" "A public key has small order or is not canonically encoded; verifiers disagree on such keys." "Make a new key with `cairn key new`.";
    EntryTooLarge "ENTRY_TOO_LARGE" "An entry is longer than 65,535 bytes." "Shorten the reason or the annotations.";
    EntryUnknownShape "ENTRY_UNKNOWN_SHAPE" "An entry is neither an envelope nor a map record." "Send a DSSE envelope in canonical form.";
    EnvelopeSignatures "ENVELOPE_SIGNATURES" "The signatures are none, too many, out of order or repeat a keyid." "Sort them by keyid, one for each key.";
    EnvelopePayloadType "ENVELOPE_PAYLOAD_TYPE" "The envelope's payload is not an in-toto statement." "Use payloadType application/vnd.in-toto+json.";
    StatementSubject "STATEMENT_SUBJECT" "The statement does not have exactly one subject, or it has the wrong name." "Name the document once: `policy`, or the environment of a release.";
    DocumentMismatch "DOCUMENT_MISMATCH" "The document does not hash to both digests of the statement's subject." "Send the very bytes that were signed for.";
    DocumentTooLarge "DOCUMENT_TOO_LARGE" "A document is longer than its kind may be." "Record fewer files at once, or a tree.";
    DocumentMissing "DOCUMENT_MISSING" "The entry's document was not sent and the ledger does not have it." "Send the document with the entry.";
    BadSignature "BAD_SIGNATURE" "A signature does not verify, strictly, with the key that its keyid names." "Sign again; if it was signed by cairn, the bytes changed on the way.";
    UnknownSigner "UNKNOWN_SIGNER" "A signature is by a key that the policy does not name for this role." "Have the policy name the key, or sign with one that it names.";
    SignerNotAllowed "SIGNER_NOT_ALLOWED" "The policy names the signer, but not for this environment and action." "Ask the ledger's admins, or use a key that is allowed here.";
    TooFewApprovals "TOO_FEW_APPROVALS" "The policy asks for more deployers' signatures on this environment." "Have more allowed deployers sign the same statement.";
    TooFewSignatures "TOO_FEW_SIGNATURES" "The admins' signatures do not reach the threshold." "Have more admins sign.";
    TooFewAuditors "TOO_FEW_AUDITORS" "Fewer of the pinned auditors vouch for the map than the trust file asks for." "Wait for them, or find out why they do not cosign: `cairn audit` shows what they see.";
    TooFewWitnesses "TOO_FEW_WITNESSES" "Fewer of the pinned witnesses cosigned the checkpoint than the trust file or the policy asks for." "Wait for them; `cairn trust check` shows who cosigned what, and when. Where the policy asks for witnesses, pin them: `cairn trust add URL --witness VKEY`.";
    NotOffered "NOT_OFFERED" "The checkpoint is not the one that the server has offered for cosigning." "Ask for the one on offer again, audit that, and cosign it.";
    WatchCommand "WATCH_COMMAND" "The command or web hook that a watch has for an event failed each time." "Mend it; the next run goes on with the same event.";
    ProposalSyntax "PROPOSAL_SYNTAX" "A file is no proposal, or not what its signatures are over." "Ask whoever made it for the file again.";
    KeyRevoked "KEY_REVOKED" "A policy names a key that it also revokes." "Leave the key out of the admins and deployers: a revoked key never comes back.";
    PolicyLockout "POLICY_LOCKOUT" "A rule of the policy asks for more deployers than may release there." "Name more deployers for that pattern, or ask for fewer approvals.";
    RevocationLifted "REVOCATION_LIFTED" "A new policy leaves out a key that the current one revokes, or raises since when." "Repeat every revocation; `since` may only be lowered.";
    SignerCompromised "SIGNER_COMPROMISED" "A signer's key was compromised by then, so the signature counts for nothing, and too few others signed." "Do not run it: record a release that other deployers sign, or go back to one from before.";
    WrongNumber "WRONG_NUMBER" "An order, an approval or an enrolment does not have the next number of its kind." "Somebody was first: look at what there is, then make it again.";
    BreakGlassUnknown "BREAK_GLASS_UNKNOWN" "A release names a break-glass order that is not in the log before it, or not for its environment." "`cairn order list` shows the orders and what each is for.";
    BreakGlassExpired "BREAK_GLASS_EXPIRED" "A break-glass order has expired, or would last longer than 30 days." "Have as many deployers approve the release as the policy asks for: `cairn approve ENV`; or give a new order.";
    ContentErased "CONTENT_ERASED" "The content's bytes were erased by an order of the admins." "Nothing is lost or tampered with: `cairn order list` shows who erased it and why. Record other content.";
    AlreadyErased "ALREADY_ERASED" "An order erases a content that an earlier one erased." "Leave it out of the order.";
    SuccessionKeys "SUCCESSION_KEYS" "The keys that take over are not two new keys of this log." "Make new ones with `cairn key new`; a key never comes back.";
    SuccessionHead "SUCCESSION_HEAD" "The head that an order of succession names is not the last that the log signed, right before the order." "Make the order anew with `cairn order succession`, and stop the server before anything else is recorded.";
    SuccessionRunning "SUCCESSION_RUNNING" "Keys take over between two runs of the server, not while it runs." "Stop the server, then start it with the new keys and `--succession FILE`.";
    KeySucceeded "KEY_SUCCEEDED" "A checkpoint is signed by a key of the log that may not sign that size: another took over." "Whoever shows it runs an old server, or stole an old key: tell the auditors, and use another address.";
    HostOther "HOST_OTHER" "A dismissal names another host record than the one that stands, or none stands." "Dismiss with the record that `cairn host show` prints.";
    WrongLedger "WRONG_LEDGER" "The entry was signed for another ledger." "Check the context: `cairn status` shows the ledger in use.";
    WrongVersion "WRONG_VERSION" "The policy's version does not follow the current one." "Start from the policy in force and add 1.";
    WrongSequence "WRONG_SEQUENCE" "The release's sequence does not follow the environment's last." "Somebody released in between: look at `cairn log ENV`, then record again.";
    WrongPrevious "WRONG_PREVIOUS" "The entry does not name its predecessor's leaf hash." "Look up the environment again, then sign for its current entry.";
    RollbackTarget "ROLLBACK_TARGET" "The sequence to roll back to does not exist or is a retirement." "Choose one from `cairn log ENV`.";
    RollbackArtifacts "ROLLBACK_ARTIFACTS" "The rollback's artifacts differ from those of the release it names." "Use `cairn rollback`, which repeats them.";
    NameReused "NAME_REUSED" "A name that stands for the same bytes for ever, such as an image's tag or a chart's version, is given to other bytes." "Give what changed a name of its own; or say why not: --allow-name-reuse REASON.";
    AlreadyRetired "ALREADY_RETIRED" "There is no standing release to retire." "Nothing needs to be done.";
    RetireManifest "RETIRE_MANIFEST" "A retirement names another manifest than its predecessor." "Use `cairn retire`, which repeats it.";
    ApprovalManifest "APPROVAL_MANIFEST" "An approval names another manifest than the release that it approves." "Make it with `cairn approve`, which repeats it.";
    GenesisTwice "GENESIS_TWICE" "A genesis entry stands anywhere but first." "A ledger begins once; make another with `cairn init`.";
    GenesisMissing "GENESIS_MISSING" "The log does not begin with a genesis entry." "This is no ledger; find out what the file is.";
    GenesisKeys "GENESIS_KEYS" "The genesis entry's log key and clock key are not two keys named by the origin." "Make the ledger with `cairn init`.";
    MapRecordSubmitted "MAP_RECORD_SUBMITTED" "A client sent a map record, which only the server writes." "Send signed envelopes only.";
    MapRecordWrong "MAP_RECORD_WRONG" "A map record does not state what its leaves add up to." "The server lies or is broken: keep the evidence and tell the ledger's auditors.";
    ContentMissing "CONTENT_MISSING" "The manifest names stored content that was not sent by this caller." "Upload it first; `cairn record` does so by itself.";
    ContentMismatch "CONTENT_MISMATCH" "Content does not hash to the digest it was sent under." "The bytes changed on the way or the file changed while it was read: try again.";
    ContentOffset "CONTENT_OFFSET" "A part of an upload does not follow the part before." "Ask how much is kept and continue there.";
    ContentTooLarge "CONTENT_TOO_LARGE" "A content is larger than the server accepts." "Record it as external, or ask the operator to raise the bound.";
    NoteSyntax "NOTE_SYNTAX" "The bytes are not a C2SP signed note." "Ask the server's operator what answers at that address.";
    NoteSignature "NOTE_SIGNATURE" "A signature line by a known key does not verify, or the log's is missing." "The server does not hold the ledger's key: check the address, then the trust file.";
    NoteFromTheFuture "NOTE_FROM_THE_FUTURE" "A cosignature's time is more than 5 minutes ahead of this clock." "Set this machine's clock; if it is right, the server's is not.";
    CheckpointSyntax "CHECKPOINT_SYNTAX" "A note's text is not a checkpoint: origin, size and root, and nothing else." "Ask the server's operator what answers at that address.";
    WrongOrigin "WRONG_ORIGIN" "The checkpoint is another ledger's." "Check the address, or add this ledger with `cairn trust add`.";
    VkeySyntax "VKEY_SYNTAX" "Text is not a verifier key (name+id+key), or its id does not fit." "Copy the whole key again.";
    ConsistencyUnproven "CONSISTENCY_UNPROVEN" "The server did not prove that its log extends the one seen before." "Try again, then another server of the ledger; then tell the auditors.";
    InclusionUnproven "INCLUSION_UNPROVEN" "The server did not prove that an entry is in the log." "Try again, then another server of the ledger; then tell the auditors.";
    MapProof "MAP_PROOF" "The server did not prove what the map says of a name." "Try again, then another server of the ledger; then tell the auditors.";
    RowMismatch "ROW_MISMATCH" "An entry is not the one that the map's row states." "The server answers for another environment or release: tell the auditors.";
    PolicyChain "POLICY_CHAIN" "The policies do not form one chain from the pinned genesis to the map's row." "The server hides or invents policies: tell the auditors.";
    WrongGenesis "WRONG_GENESIS" "The ledger does not begin with the pinned genesis entry." "It is another ledger under the same name: check the address.";
    BundleSyntax "BUNDLE_SYNTAX" "The file is not a bundle, or was damaged." "Export it again.";
    Forked "FORKED" "The log signed two histories that contradict each other." "Keep the evidence file, trust neither, and tell the auditors.";
    Stale "STALE" "The newest proof is older than allowed, or older than what was seen before." "Try again; then ask why the ledger's checkpoints have stopped.";
    RolledBack "ROLLED_BACK" "The server shows less than it had signed before." "It lags or was restored from an old copy: tell its operator.";
    NotAuthenticated "NOT_AUTHENTICATED" "The server asks for a token and none, or a wrong one, was sent." "Set a token for the context: `cairn trust add --token-file`.";
    NotAllowed "NOT_ALLOWED" "The server does not let this caller do that." "Ask the server's operator.";
    InvalidRequest "INVALID_REQUEST" "A field of the request is malformed." "See the field that the message names.";
    NotFound "NOT_FOUND" "There is no such thing in the ledger." "Check the reference: `cairn log` lists what there is.";
    NoSpace "NO_SPACE" "The server's disk is full; nothing was recorded." "Free space on the server, then try again.";
    ProposalsFull "PROPOSALS_FULL" "As many proposals wait with the server as it, or this signer's share, allows." "Submit or withdraw some, or let them expire; or hand a file on: -o FILE.";
    Overloaded "OVERLOADED" "The server has as much in flight as it allows." "Try again after the delay that the answer names.";
    ShuttingDown "SHUTTING_DOWN" "The server is stopping." "Try again; a retry of the same entry is safe.";
    NotSigning "NOT_SIGNING" "The server refuses to sign: its store shows less than was signed before." "Restore the newest copy of its data; see `cairn serve --help` on the anchor.";
    Unreachable "UNREACHABLE" "No answer in time." "Check the address and try again: retrying is safe.";
    Internal "INTERNAL" "The server met a fault of its own." "See its log.";
    StoreDamaged "STORE_DAMAGED" "A stored frame does not match its checksum." "Restore the named file from a copy, or rebuild a journal with `cairn repair`; nothing was served from it.";
    WitnessDisagrees "WITNESS_DISAGREES" "A witness says that it saw more of the log, or another history, than this server shows." "Trust neither for now: compare with others who hold checkpoints, and tell the auditors. Its word alone proves nothing.";
    WitnessSilent "WITNESS_SILENT" "A witness did not say anything of use." "Check its URL, and that it knows this log's key.";
    EvidenceProvesNothing "EVIDENCE_PROVES_NOTHING" "A file of evidence does not convince anybody who has the trust file alone." "Ask whoever saved it for the two notes; compare them with what you saw yourself.";
    WitnessState "WITNESS_STATE" "What a witness cosigned last cannot be read, or was not kept." "Put the disk right, then start the witness again. Never begin anew under the same key: it could then cosign a second history.";
    WitnessAhead "WITNESS_AHEAD" "A witness cosigned more of the log, or another history, than this server holds." "Look for another server that signs with this key, and for a newer copy of the store. Only if the witness is known to be wrong: leave it out of the configuration.";
    StoreLocked "STORE_LOCKED" "Another process has this data directory open." "Stop the other one first.";
    RepairSource "REPAIR_SOURCE" "What a repair reads is not what a signed head, or the anchor, says." "Take another copy: an auditor's, or another server's. Nothing was changed.";
    StoreAnchor "STORE_ANCHOR" "The journal and the anchor disagree, or the anchor is missing." "An old copy or a loss: restore the newest, or accept the head with --accept-head SIZE:ROOT.";
    KeyFileLoose "KEY_FILE_LOOSE" "A private key file may be read by others, or is not owned by this user." "chmod 600 the file and check its owner.";
    KeyFile "KEY_FILE" "A private key could not be read." "Check the path; an encrypted key asks for its passphrase.";
    SignerFailed "SIGNER_FAILED" "An agent or a token did not sign, or what it signed does not verify with its public key." "See what it says; nothing that it signed was used.";
    KeyUri "KEY_URI" "The PKCS#11 URI of a key is malformed, or says what could not be held to." "Write pkcs11:token=NAME;object=NAME?module-path=/FILE&pin-source=file:/FILE, percent-encoded as RFC 7512 has it.";
    PinExposed "PIN_EXPOSED" "A PIN stands in a key's URI, where others on the machine can read it." "Change the PIN, put the new one into a file of mode 0600, and name that: pin-source=file:/FILE.";
    TokenModule "TOKEN_MODULE" "A PKCS#11 module cannot be loaded, is not safe to load, or failed." "Check module-path: the token's vendor says which file it is. Nobody but root and you may write to it.";
    TokenNotFound "TOKEN_NOT_FOUND" "No token fits the URI of a key." "Plug it in, or check token= and serial=: `cairn key list URI` shows what is there.";
    TokenKeyNotFound "TOKEN_KEY_NOT_FOUND" "A token holds no key that fits the URI and that could be used." "`cairn key list URI` shows what it holds, and `cairn key new URI` makes one.";
    TokenAmbiguous "TOKEN_AMBIGUOUS" "More than one token, or more than one key, has the name that the URI gives." "Name one alone: add serial=, object= or id= from `cairn key list URI`.";
    PinMissing "PIN_MISSING" "A token wants its PIN, and there is none." "Run this on a terminal, or name a file of mode 0600 with the PIN: pin-source=file:/FILE.";
    PinWrong "PIN_WRONG" "A token refused its PIN. It was tried once, and is not tried again." "Put it right before you try again: a few wrong ones lock a token.";
    PinLocked "PIN_LOCKED" "A token's PIN is locked, or the next wrong one locks it." "With one try left, type the PIN on a terminal. Once it is locked, whoever keeps the token's SO PIN unlocks it.";
    PathUnreadable "PATH_UNREADABLE" "A path does not exist or cannot be read." "Check the path and its permissions.";
    PathChanged "PATH_CHANGED" "A file changed while it was read." "Stop what writes it, then try again; nothing was recorded.";
    PathSpecial "PATH_SPECIAL" "A device, socket or pipe stands where files were expected." "Remove it, or record the files beside it by name.";
    PathName "PATH_NAME" "A file's name holds control characters or is not UTF-8." "Rename it; such names cannot be recorded.";
    PathEmpty "PATH_EMPTY" "There is nothing to record." "Name a path that holds at least one file.";
    ImageInvalid "IMAGE_INVALID" "An OCI image layout is incomplete or a blob does not match its digest." "Build or copy the image again.";
    StapleMissing "STAPLE_MISSING" "No bundle of that environment is stapled to the image." "Staple one: `cairn export ENV --staple LAYOUT:TAG`; or check which image and environment were named.";
    StapleAmbiguous "STAPLE_AMBIGUOUS" "Several bundles are stapled to the image, and nothing says which is meant." "Say which environment it must be, with --environment; `cairn export ENV --staple` leaves one of each.";
    StapleInvalid "STAPLE_INVALID" "What is stapled to an image was damaged, or is not in the one form that cairn writes." "Copy the layout again, or take that descriptor out of index.json and staple the bundle again.";
    StapleNewer "STAPLE_NEWER" "The image has a newer bundle of that environment than the one to be stapled." "Find out why this ledger shows less; if what is stapled is not to be believed, take its descriptor out of index.json.";
    SourceInvalid "SOURCE_INVALID" "What a deployment tool gave is not what it should be: cut, of another version, or ambiguous." "See what the message names; nothing was recorded.";
    ToolMissing "TOOL_MISSING" "A tool that is asked what was deployed is not installed." "Install it, or give what it prints as a file.";
    ToolFailed "TOOL_FAILED" "A tool that was asked what was deployed did not say so." "Run it by hand with the same settings, then try again.";
    SourceDenied "SOURCE_DENIED" "Whoever is asked what was deployed wants credentials, or does not accept those that it got." "Let the tool fetch it with its own credentials, and give what it wrote as a file.";
    SecretKey "SECRET_KEY" "The key of this environment's withheld values is not here." "Import it: `cairn secret-key import ENV FILE`.";
    TlogPolicySyntax "TLOG_POLICY_SYNTAX" "A file is not in the tlog-policy form." "Mend the line that the message names: c2sp.org/tlog-policy describes each.";
    TlogPolicyQuorum "TLOG_POLICY_QUORUM" "A tlog-policy's quorum is none that a trust file can hold: so many of these keys, whichever they are." "Pin what comes nearest and is not weaker by hand, with --witness and --witness-quorum; or ask for a policy whose quorum is one group.";
    RaceLost "RACE_LOST" "Another release was recorded first." "Look at what came in between, then record again.";
    Usage "USAGE" "The command line or a configuration file is wrong." "See `cairn help`.";
    TrustMissing "TRUST_MISSING" "No ledger is trusted yet." "Run `cairn trust add URL`, or `cairn dev` to try things out.";
    StateDamaged "STATE_DAMAGED" "The saved checkpoint or another file of the home directory is unreadable." "Restore the file from a copy; it is what protects against a rewritten history.";
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// Text that is not a known code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown code")]
pub struct UnknownReason;

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(code: &str) -> Result<Self, UnknownReason> {
        Self::ALL
            .iter()
            .copied()
            .find(|reason| reason.code() == code)
            .ok_or(UnknownReason)
    }
}
