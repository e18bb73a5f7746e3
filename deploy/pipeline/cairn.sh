#!/bin/sh
# Runs a command of cairn in a pipeline, with a home of its own that is gone afterwards.
#
#     cairn.sh record prod/shop ./shop --kubernetes=rendered.yaml
#     cairn.sh verify prod/shop --kubernetes
#     cairn.sh run prod/shop --kubernetes=rendered.yaml -- kubectl apply -f rendered.yaml
#
# CAIRN_URL          where the ledger answers
# CAIRN_GENESIS      its genesis hash: nothing else is believed of what answers there
# CAIRN_KEY          the deployer's private key, PEM, or a file with it; not needed to verify
# CAIRN_TOKEN        the token that the server asks for, if it does
# CAIRN_SECRET_KEY   the key of the environment's withheld values, if there are any
# CAIRN_HOME         a home to keep between runs: then a ledger that goes back is noticed
set -eu

: "${CAIRN_URL:?CAIRN_URL is not set: where the ledger answers}"
: "${CAIRN_GENESIS:?CAIRN_GENESIS is not set: the hash of the genesis entry}"
[ $# -ge 2 ] || { echo "usage: cairn.sh COMMAND ENVIRONMENT ..." >&2; exit 2; }

umask 077
private=$(mktemp -d)
child=
# Whoever ends this script ends the command, which may have something to undo.
pass() {
    if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || true; else exit "$1"; fi
}
trap 'rm -rf "$private"' EXIT
trap 'pass 129' HUP
trap 'pass 130' INT
trap 'pass 143' TERM
export CAIRN_HOME="${CAIRN_HOME:-$private/home}"

# Secrets go from the environment to private files, and to nobody that is started here.
# Line ends that a variable has at its end are not part of them. A variable may also name a file.
value() {
    if [ -f "$1" ]; then cat "$1"; else printf '%s' "$1"; fi
}
key=$(value "${CAIRN_KEY:-}")
token=$(value "${CAIRN_TOKEN:-}")
secret=$(value "${CAIRN_SECRET_KEY:-}")
unset CAIRN_KEY CAIRN_TOKEN CAIRN_SECRET_KEY
[ -z "$key" ] || printf '%s\n' "$key" >"$private/key.pem"
[ -z "$token" ] || printf '%s\n' "$token" >"$private/token"
cairn --no-input trust add "$CAIRN_URL" --genesis "$CAIRN_GENESIS" \
    ${key:+--key "$private/key.pem"} ${token:+--token-file "$private/token"} >&2
if [ -n "$secret" ]; then
    printf '%s\n' "$secret" >"$private/secret"
    cairn secret-key import "$2" "$private/secret" >&2
fi

# In the background, and waited for: a shell that waits in the foreground hears no signal.
carry_out() {
    cairn --no-input "$@" <&3 &
    child=$!
    code=0
    wait "$child" || code=$?
    while kill -0 "$child" 2>/dev/null; do
        code=0
        wait "$child" || code=$?
    done
    child=
    return "$code"
}

exec 3<&0
if [ "$1" = record ] && [ -n "${GITHUB_OUTPUT:-}" ]; then
    carry_out --output json "$@" >"$private/result"
    cat "$private/result"
    for name in sequence index; do
        sed -n "s/.*\"$name\":\([0-9][0-9]*\).*/$name=\1/p" "$private/result" >>"$GITHUB_OUTPUT"
    done
    sed -n 's/.*"leafHash":"\([0-9a-f]*\)".*/leaf-hash=\1/p' "$private/result" >>"$GITHUB_OUTPUT"
else
    carry_out "$@"
fi
