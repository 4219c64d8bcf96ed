#!/usr/bin/env bash
# The Go client franz-go: every codec with keys, headers and tombstones; two groups whose members come and go; and an
# idempotent producer that goes on while the broker is killed with -9 twice. Every record is there, as it was sent, in order, once.
source "$(dirname "$0")/node.sh"

skip() { echo "SKIPPED $(basename "$0"): $*"; exit 77; }
command -v go >/dev/null || (need go golang) || skip "no Go here, and it cannot be installed"
(cd "$here/franz" && go build -o "$work/franz" .) >"$work/go.log" 2>&1 || {
    # What does not compile is a fault; what cannot be fetched is a machine that lacks it.
    grep -q -E '^(#|\./)|main\.go:[0-9]+' "$work/go.log" && { cat "$work/go.log" >&2; die "the program does not build"; }
    skip "franz-go cannot be had: $(tail -n 1 "$work/go.log")"
}
franz() { "$work/franz" "$@" || die "franz $1"; }

node_start --set group.initial.rebalance.delay.ms=50
franz codecs "$brokers"
franz group "$brokers"

"$work/franz" stream "$brokers" 30000 >"$work/stream" 2>"$work/stream.err" &
stream=$!
for acknowledged in 8000 16000; do
    for _ in $(seq 500); do
        grep -q "^acknowledged $acknowledged\$" "$work/stream" && break
        kill -0 "$stream" 2>/dev/null || break
        sleep 0.02
    done
    grep -q "^acknowledged $acknowledged\$" "$work/stream" || die "the stream stands still: $(cat "$work/stream.err")"
    node_kill
    sleep 0.3
    node_start --set group.initial.rebalance.delay.ms=50
done
[ "$(tail -n 1 "$work/stream")" != "acknowledged 30000" ] || die "the broker was killed too late"
wait "$stream" || die "the stream: $(cat "$work/stream.err")"
node_stop
"$TAFFRAIL" log verify "$work/data" >"$work/verified" || die "the directory does not verify: $(tail -n 3 "$work/verified")"
echo "franz: 5 codecs, 2 groups of 3 members, 30000 records over 2 kills: as they were sent, in order, once"
