//! Every bound of the protocol, with its reason. SPEC.md section 11.

/// Bytes of an entry: the `u16` length of a C2SP entry bundle.
pub const ENTRY_BYTES_MAX: usize = 65_535;
/// Nested arrays and objects: our deepest document needs 5.
pub const JSON_DEPTH_MAX: usize = 16;
/// Largest integer in JSON that every implementation reads alike: 2^53 - 1.
pub const JSON_INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// Bytes of a manifest: one gRPC message, and read whole by every verifier.
pub const MANIFEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of a policy document: every verifier reads all versions.
pub const POLICY_BYTES_MAX: usize = 256 << 10;
/// Bytes of an order: a thousand contents.
pub const ORDER_BYTES_MAX: usize = 128 << 10;
/// Contents that one order erases.
pub const ERASURES_MAX: usize = 1_024;
/// Bytes of a host record.
pub const HOST_BYTES_MAX: usize = 64 << 10;
/// Seconds of any bound on time in a policy or an order.
pub const SECONDS_MAX: u64 = 2_147_483_647;
/// Milliseconds after which a break-glass order has expired at the latest: 30 days.
pub const BREAK_GLASS_MILLIS_MAX: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Times that other keys take over from a log's: each is compared with all before.
pub const SUCCESSIONS_MAX: usize = 256;
/// Bytes of a tree listing: room for about a million files.
pub const TREE_BYTES_MAX: usize = 256 << 20;
/// Artifacts of one manifest: each may touch a digest row.
pub const ARTIFACTS_MAX: usize = 8_192;
/// Files of a directory that are recorded one by one; more become a tree.
pub const DIRECTORY_FILES_MAX: usize = 1_024;
/// Signatures of an envelope: what one request can ask to be verified.
pub const SIGNATURES_MAX: usize = 32;
/// Bytes of a signed note: C2SP asks for room for at least 16 signatures.
pub const NOTE_BYTES_MAX: usize = 16 << 10;
/// Signature lines of a note.
pub const NOTE_LINES_MAX: usize = 64;
/// Bytes of an environment's name.
pub const ENVIRONMENT_BYTES_MAX: usize = 255;
/// Segments of an environment's name.
pub const ENVIRONMENT_SEGMENTS_MAX: usize = 8;
/// Bytes of an artifact's name.
pub const ARTIFACT_NAME_BYTES_MAX: usize = 1_024;
/// Bytes of an origin: `/clock` is appended for the clock key's name.
pub const ORIGIN_BYTES_MAX: usize = 240;
/// Bytes of a release's reason, and of an annotation's value.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// Admins of a policy.
pub const ADMINS_MAX: usize = 64;
/// Deployers of a policy.
pub const DEPLOYERS_MAX: usize = 1_024;
/// Auditors that a verifier pins, and witnesses: with the log's two lines, and as many of others,
/// they fit a note.
pub const COSIGNERS_MAX: usize = 16;
/// Keys that a policy revokes.
pub const REVOCATIONS_MAX: usize = 1_024;
/// Rules of a policy.
pub const POLICY_RULES_MAX: usize = 256;
/// Patterns of one deployer.
pub const PATTERNS_MAX: usize = 64;
/// Bytes of a bundle: manifest and policies, in base64, with room.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Hashes of an inclusion or consistency proof: two paths of a 2^64 tree.
pub const PROOF_HASHES_MAX: usize = 128;
/// Seconds that a cosignature's time may lie ahead of the verifier's clock.
pub const FUTURE_SECONDS_MAX: u64 = 300;
