#!/bin/sh
# Runs a command of cairn in a pipeline, with a home of its own that is gone afterwards.
#
#     cairn.sh record prod/shop ./shop --kubernetes=rendered.yaml
#     cairn.sh verify prod/shop --kubernetes
#     cairn.sh run prod/shop --kubernetes=rendered.yaml -- kubectl apply -f rendered.yaml
#
# CAIRN_URL          where the ledger answers
# CAIRN_GENESIS      its genesis hash: nothing else is believed of what answers there
# CAIRN_KEY          the deployer's private key, PEM; not needed to verify
# CAIRN_TOKEN        the token that the server asks for, if it does
# CAIRN_SECRET_KEY   the key of the environment's withheld values, if there are any
# CAIRN_HOME         a home to keep between runs: then a ledger that goes back is noticed
set -eu

: "${CAIRN_URL:?CAIRN_URL is not set: where the ledger answers}"
: "${CAIRN_GENESIS:?CAIRN_GENESIS is not set: the hash of the genesis entry}"
[ $# -ge 2 ] || { echo "usage: cairn.sh COMMAND ENVIRONMENT ..." >&2; exit 2; }

umask 077
private=$(mktemp -d)
trap 'rm -rf "$private"' EXIT
trap 'exit 130' INT TERM
export CAIRN_HOME="${CAIRN_HOME:-$private/home}"

# Secrets go from the environment to private files, and to nobody that is started here.
# Line ends that a variable has at its end are not part of them.
key=$(printf '%s' "${CAIRN_KEY:-}")
token=$(printf '%s' "${CAIRN_TOKEN:-}")
secret=$(printf '%s' "${CAIRN_SECRET_KEY:-}")
unset CAIRN_KEY CAIRN_TOKEN CAIRN_SECRET_KEY
trust="--genesis $CAIRN_GENESIS"
if [ -n "$key" ]; then
    printf '%s\n' "$key" >"$private/key.pem"
    trust="$trust --key $private/key.pem"
fi
if [ -n "$token" ]; then
    printf '%s\n' "$token" >"$private/token"
    trust="$trust --token-file $private/token"
fi
# What is joined here holds no blanks: a hash, and paths that mktemp made.
# shellcheck disable=SC2086
cairn --no-input trust add "$CAIRN_URL" $trust >&2
if [ -n "$secret" ]; then
    printf '%s\n' "$secret" >"$private/secret"
    cairn secret-key import "$2" "$private/secret" >&2
fi

if [ "$1" = record ] && [ -n "${GITHUB_OUTPUT:-}" ]; then
    cairn --no-input --output json "$@" >"$private/result"
    cat "$private/result"
    for name in sequence index; do
        sed -n "s/.*\"$name\":\([0-9][0-9]*\).*/$name=\1/p" "$private/result" >>"$GITHUB_OUTPUT"
    done
    sed -n 's/.*"leafHash":"\([0-9a-f]*\)".*/leaf-hash=\1/p' "$private/result" >>"$GITHUB_OUTPUT"
else
    cairn --no-input "$@"
fi
