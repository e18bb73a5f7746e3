#!/usr/bin/env bash
# Verifies the units in a root of their own: systemd's stock units, these ones installed
# as docs/hosts.md says, and a stub where the program will be. Nothing of the machine that
# runs this is changed or looked at, and every line that systemd prints is an error.
set -euo pipefail
cd "$(dirname "$0")"

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
stock=/usr/lib/systemd/system
[ -d "$stock" ] || stock=/lib/systemd/system
units=$root/etc/systemd/system

mkdir -p "$units" "$root/usr/lib/systemd" "$root/usr/bin" "$root/etc/cairn"
cp -r "$stock" "$root/usr/lib/systemd/system"
install -m 0755 /dev/stdin "$root/usr/bin/cairn" <<<'#!/bin/sh'
install -m 0644 ./*.service ./*.target "$units"
install -m 0644 verify.env "$root/etc/cairn/verify.env"

# A workload for each drop-in, so that the drop-in is read where it will be used.
for workload in docker containerd kubelet; do
    printf '[Unit]\nDescription=%s\n[Service]\nExecStart=/usr/bin/cairn\n' "$workload" >"$units/$workload.service"
    install -D -m 0644 drop-ins/10-cairn-gate.conf "$units/$workload.service.d/10-cairn-gate.conf"
done

fail() {
    echo "deploy/systemd: $*" >&2
    exit 1
}

# systemd warns of what it ignores and still succeeds; here that fails.
verify() {
    local said
    said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --root="$root" --man=no --recursive-errors=yes "$@" 2>&1) ||
        fail "systemd-analyze verify failed: $said"
    [ -z "$said" ] || fail "systemd-analyze verify warned: $said"
}
verify cairn-verify.service cairn-verified.target cairn-server.service \
    docker.service containerd.service kubelet.service

# Exposure from 0 to 10 as systemd reckons it; a lost hardening line shows here.
for unit in cairn-verify.service cairn-server.service; do
    said=$(systemd-analyze security --root="$root" --offline=yes --threshold=20 --no-pager "$unit" 2>&1) ||
        fail "$unit is exposed: $said"
done

systemd-sysusers --root="$root" --dry-run "$PWD/cairn.sysusers.conf" >"$root/said" 2>&1 ||
    fail "systemd-sysusers failed: $(cat "$root/said")"

# A unit that a condition skips counts as started: that would open the gate.
if grep -nE '^(Condition|SuccessExitStatus|Restart=)|^ExecStart=-' cairn-verify.service cairn-verified.target; then
    fail "the gate must fail closed"
fi
for file in cairn-verified.target drop-ins/10-cairn-gate.conf; do
    required=$(sed -n 's/^Requires=//p' "$file")
    ordered=$(sed -n 's/^After=//p' "$file")
    if [ -z "$required" ] || [ "$required" != "$ordered" ]; then
        fail "$file must require what it comes after"
    fi
done

echo "deploy/systemd: units verified"
