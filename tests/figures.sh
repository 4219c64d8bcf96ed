#!/usr/bin/env bash
# The figures of README.md, as one table: durable produce against its disk, start times, resident memory.
#
# Speeds of a shared machine mean little, so `taffrail bench durable` lets broker and disk take turns and gives their ratio. Times and
# memory are medians of RUNS starts. Everything is written below TMPDIR (by default /tmp), which has to be on a disk.
# SECONDS_EACH: how long each turn takes. FOREIGN: the share of the machine, in percent, that other programs may have in a pair that counts.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/clients/node.sh"
runs=${RUNS:-5} seconds=${SECONDS_EACH:-4} foreign=${FOREIGN:-10}

now() { echo "${EPOCHREALTIME/[.,]/}"; }
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }
resident() { awk '/^VmRSS/ {print $2}' "/proc/$node/status"; }

# timed_start DIR: starts a node on it, and leaves in `took` how many microseconds passed until it said that it is ready.
timed_start() {
    local begun line
    begun=$(now)
    exec 3< <(exec "$TAFFRAIL" serve --data "$1" --listen 127.0.0.1:0 --admin 127.0.0.1:0 2>>"$work/node.log")
    node=$!
    IFS= read -r -t 120 line <&3 || die "the node did not start"
    took=$(($(now) - begun))
    case $line in "taffrail ready "*) ;; *) die "unexpected: $line" ;; esac
    brokers=$(sed -E 's/.* kafka=([^ ]*) .*/\1/' <<<"$line")
}
# await_end: the node is no child of this shell that `wait` knows by all versions of bash.
await_end() { while kill -0 "$node" 2>/dev/null; do sleep 0.05; done; node=''; }
stop() { kill -TERM "$node"; await_end; }
row() { printf '%-52s %s\n' "$1" "$2"; }

probe=$work/probe
mkdir "$probe"
timed_start "$work/data"
row "first start, which makes the journal" "$((took / 1000)) ms"
for partitions in 1 1000; do
    "$TAFFRAIL" bench durable --brokers "$brokers" --broker-pid "$node" --probe-dir "$probe" --partitions "$partitions" \
        --seconds "$seconds" --foreign-cpu-max "$foreign" | tee "$work/durable"
done
stop

gigabytes=$(du -s -B 1000000 "$work/data" | awk '{printf "%.1f", $1 / 1000}')
for _ in $(seq "$runs"); do timed_start "$work/data"; echo "$took"; stop; done >"$work/clean"
row "start after a clean stop, $gigabytes GB of data" "$(($(median <"$work/clean") / 1000)) ms"

for _ in $(seq "$runs"); do
    timed_start "$work/data"
    "$TAFFRAIL" bench produce --brokers "$brokers" --topic killed --partitions 1000 --producers 8 --seconds 60 >/dev/null 2>&1 &
    load=$!
    sleep 5
    kill -9 "$node"; await_end
    kill "$load"; wait "$load" 2>/dev/null || true
    timed_start "$work/data"; echo "$took"; stop
done >"$work/killed"
row "start after kill -9 under load, 1,000 partitions" "$(($(median <"$work/killed") / 1000)) ms"
rm -rf "${work:?}/data"

for _ in $(seq "$runs"); do
    rm -rf "${work:?}/idle"
    timed_start "$work/idle"
    sleep 3
    before=$(resident)
    "$TAFFRAIL" topic create --brokers "$brokers" many --partitions 10000 >/dev/null
    sleep 3
    echo "$before $(resident)"
    stop
done >"$work/resident"
none=$(awk '{print $1}' "$work/resident" | median)
each=$(awk '{print int(($2 - $1) * 1024 / 10000)}' "$work/resident" | median)
row "resident, idle, no topic" "$((none / 1024)) MiB ($none KiB)"
row "resident, each of 10,000 idle partitions" "$each bytes"
