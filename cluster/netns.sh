#!/usr/bin/env bash
# Two hosts on one machine: network namespaces a (10.77.0.1) and b (10.77.0.2), joined by a cable that can be cut.
#
#   netns.sh check            whether this user may do it; says why not
#   netns.sh up               makes both
#   netns.sh a|b COMMAND...   runs a command on one of them
#   netns.sh cut | mend       takes the cable away, puts it back: connections stay open and hear nothing
#   netns.sh down             ends what runs in them and removes them
#
# MAPFOLD_NETNS names the pair (default mapfold), so that two pairs can live side by side.
# Needs root (CAP_NET_ADMIN) and iproute2. Exit codes: 0 done, 1 failed, 2 wrong words, 3 may not or cannot.
set -euo pipefail
pair="${MAPFOLD_NETNS:-mapfold}"

say() { printf '%s\n' "$*" >&2; }

check() {
    command -v ip >/dev/null || { say "missing: ip (network namespaces)"; say "  to get it: apt-get install iproute2"; exit 3; }
    local probe="$pair-probe-$$"
    ip netns add "$probe" 2>/dev/null || { say "network namespaces need root with CAP_NET_ADMIN and CAP_SYS_ADMIN; user $(id -un) may not"; exit 3; }
    local made=0
    ip -n "$probe" link add "probe" type veth peer name "eborp" 2>/dev/null || made=1
    ip netns del "$probe"
    [ $made = 0 ] || { say "this kernel makes no veth pairs"; exit 3; }
}

up() {
    check
    down
    local host
    for host in a b; do
        ip netns add "$pair-$host"
        ip -n "$pair-$host" link set lo up
    done
    ip -n "$pair-a" link add cable type veth peer name cable netns "$pair-b"
    ip -n "$pair-a" addr add 10.77.0.1/24 dev cable
    ip -n "$pair-b" addr add 10.77.0.2/24 dev cable
    mend
}

cut() { ip -n "$pair-a" link set cable down; }

mend() { for host in a b; do ip -n "$pair-$host" link set cable up; done; }

down() {
    local host pid
    for host in a b; do
        [ -e "/run/netns/$pair-$host" ] || continue
        for pid in $(ip netns pids "$pair-$host"); do kill -9 "$pid" 2>/dev/null || true; done
        ip netns del "$pair-$host"
    done
}

case ${1:-} in
    check | up | down | cut | mend) "$1" ;;
    a | b)
        [ -e "/run/netns/$pair-$1" ] || { say "no such namespace; try: $0 up"; exit 1; }
        exec ip netns exec "$pair-$1" "${@:2}"
        ;;
    *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
