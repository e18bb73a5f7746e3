#!/usr/bin/env bash
# Disables each safety check in turn, in a copy of the tree, and sees the test that is named
# for it fail. tests/faults/mutations/*.patch say which check and which test; SECURITY.md
# lists them, and tests/protocol/mutations.rs holds that list and the patches to this tree.
#
#     tests/faults/mutations.sh [NAME...]      all of them, or those named
#
# CAIRN_MUTATIONS_DIR: a directory for the copy and its build, to be used again by the next
# run. Without it both are made and removed.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec </dev/null

root=$PWD
patches=$root/tests/faults/mutations
if [ -n "${CAIRN_MUTATIONS_DIR:-}" ]; then
    work=$CAIRN_MUTATIONS_DIR
    mkdir -p "$work"
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi
work=$(cd "$work" && pwd)
tree=$work/tree
log=$work/log
export CARGO_TARGET_DIR=$work/target
# Nothing above the copy is its repository.
export GIT_CEILING_DIRECTORIES=$work
unset CAIRN_LONG

names=("$@")
if [ ${#names[@]} -eq 0 ]; then
    for file in "$patches"/*.patch; do
        names+=("$(basename "$file" .patch)")
    done
fi

# A line of a patch's head.
field() {
    sed -n "s/^$1: //p" "$patches/$2.patch"
}

fail() {
    printf '%s\n' "$*" >&2
    tail -n 40 "$log" >&2 || true
    exit 1
}

# Builds and runs the test of a patch: 0 if it passes, 1 if it fails. Anything else that
# goes wrong ends the script, for it says nothing of the check.
run() {
    local words
    read -ra words <<<"$(field Test "$1")"
    (cd "$tree" && cargo test --locked "${words[@]}" --no-run) >"$log" 2>&1 ||
        fail "$1: it does not build"
    if (cd "$tree" && cargo test --locked "${words[@]}") >"$log" 2>&1; then
        grep -q '^test .* ok$' "$log" || fail "$1: there is no test ${words[*]}"
        return 0
    fi
    grep -q '^test .* FAILED$' "$log" || fail "$1: no test failed, and something did"
    return 1
}

rm -rf "$tree"
mkdir -p "$tree"
# Every file as new as now: what an earlier run built of a changed one is not taken for its.
tar -cf - --exclude=./target --exclude=./.git . | tar -xmf - -C "$tree"

start=$SECONDS
for name in "${names[@]}"; do
    [ -e "$patches/$name.patch" ] || fail "there is no $patches/$name.patch"
    run "$name" || fail "$name: its test fails though nothing was changed"
done
printf 'Nothing changed: all tests pass, %d s\n\n' $((SECONDS - start))

survived=0
printf '| check | file | test that failed |\n|---|---|---|\n'
for name in "${names[@]}"; do
    file=$(sed -n 's/^+++ b\///p' "$patches/$name.patch")
    (cd "$tree" && git apply "$patches/$name.patch") >"$log" 2>&1 || fail "$name: does not apply"
    if run "$name"; then
        failed='**none**'
        survived=$((survived + 1))
    else
        # shellcheck disable=SC2016 # The backticks are Markdown's.
        failed=$(sed -n 's/^test \(.*\) \.\.\. FAILED$/`\1`/p' "$log" | sort -u | paste -sd' ')
    fi
    printf '| %s | %s | %s |\n' "$(field Check "$name")" "$file" "$failed"
    (cd "$tree" && git apply -R "$patches/$name.patch") >"$log" 2>&1 || fail "$name: stays applied"
done
printf '\n%d checks disabled, %d unnoticed, %d s\n' ${#names[@]} "$survived" $((SECONDS - start))
[ "$survived" -eq 0 ]
