#!/bin/sh
# A program for Terraform's `external` data source: it succeeds only if cairn says VERIFIED, and
# a data source that fails ends the plan.
#
#     cairn-verify.sh ENVIRONMENT PATH... [--kubernetes] [--terraform=live:DIR]
#
# What to verify stands in the arguments. The query on standard input is read and not used: it
# comes from wherever the values of a configuration come from.
set -eu

cat >/dev/null
[ $# -ge 2 ] || { echo "usage: cairn-verify.sh ENVIRONMENT PATH..." >&2; exit 2; }

# To verify a directory is to plan in it: if this data source stands there, it would be asked
# again, and again.
if [ -n "${CAIRN_VERIFYING:-}" ]; then
    echo "cairn-verify.sh: it is asked by a plan that it made itself: verify another directory" >&2
    exit 1
fi
export CAIRN_VERIFYING=1

if report=$(cairn --no-input verify "$@" 2>&1); then
    # An environment's name has no character that JSON would want escaped.
    printf '{"verdict":"VERIFIED","environment":"%s"}\n' "$1"
else
    code=$?
    printf '%s\n' "$report" >&2
    exit "$code"
fi
