# Sourced by the scripts beside it: one broker under test, its life and its death.
#
# TAFFRAIL names the binary. `node_start` starts it on the directory $work/data, on the port it had
# before if it had one, and waits until it says that it is ready. `node_kill` is a kill -9.

set -euo pipefail
export LC_ALL=C
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tree=$(cd "$here/../.." && pwd)
TAFFRAIL=${TAFFRAIL:-${CARGO_TARGET_DIR:-$tree/target}/release/taffrail}
case $TAFFRAIL in /*) ;; *) TAFFRAIL=$PWD/$TAFFRAIL ;; esac
work=$(mktemp -d)
node='' port=0 admin=0

die() { echo "FAILED: $*" >&2; exit 1; }

finish() { # [STATUS]
    local status=${1:-$?}
    [ -z "$node" ] || kill -9 "$node" 2>/dev/null || true
    pkill -P $$ 2>/dev/null || true
    if [ "$status" = 0 ] || [ "$status" = 77 ]; then rm -rf "$work"; else tail -n 20 "$work"/node.log >&2 || true; echo "kept: $work" >&2; fi
}
trap finish EXIT

# need COMMAND PACKAGE: installs a Debian package if its command is missing.
need() {
    command -v "$1" >/dev/null && return
    { apt-get update && apt-get install -y "$2"; } >"$work/apt.log" 2>&1 || { cat "$work/apt.log" >&2; die "cannot install $2"; }
}

node_start() {
    : >"$work/ready"
    "$TAFFRAIL" serve --data "${data:-$work/data}" --listen "127.0.0.1:$port" --admin "127.0.0.1:$admin" "$@" >"$work/ready" 2>>"$work/node.log" &
    node=$!
    local line i
    for i in $(seq 600); do
        line=$(grep -m 1 '^taffrail ready ' "$work/ready" || true)
        if [ -n "$line" ]; then
            port=$(sed -E 's/.* kafka=[^ ]*:([0-9]+) .*/\1/' <<<"$line")
            admin=$(sed -E 's/.* admin=[^ ]*:([0-9]+) .*/\1/' <<<"$line")
            brokers=127.0.0.1:$port
            return
        fi
        kill -0 "$node" 2>/dev/null || die "the node did not start: $(tail -n 3 "$work/node.log")"
        sleep 0.05
    done
    die "the node is not ready after 30 s"
}

node_kill() { kill -9 "$node"; wait "$node" 2>/dev/null || true; node=''; }

# node_stop: a clean shutdown, which must exit 0.
node_stop() { kill -TERM "$node"; wait "$node" || die "a clean shutdown exited $?"; node=''; }
