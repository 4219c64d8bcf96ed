#!/usr/bin/env bash
# A drive that fails under load: writes and flushes that answer with an error, having done any part of their work, and reads.
# Nothing is acknowledged that is not there after a new start on the drive made whole; until then the node stays up, says
# in one line which file the disk failed on, answers /healthz with 503, and is read as before. A read that fails is an
# error at the reader, never a record less.
source "$(dirname "$0")/node.sh"
source "$(dirname "$0")/drive.sh"
source "$(dirname "$0")/load.sh"
# Small, so that its journal is, and goes round.
drive_make $((300 << 20))

data=$work/volume/data
seed=${SEED:-$((RANDOM * 100))}
health() { curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$admin/healthz"; }

# Some of the topics, as they were written down before the drive failed.
some_topics() { ls "$work/before" | shuf -n "$1" --random-source=<(yes "$seed"); }

# A reader gets all that was written down, or no end: never less without a word.
read_while() { # SECONDS TOPIC
    timeout "$1" "$TAFFRAIL" consume "$2" --brokers "$brokers" --exit-at-end >"$work/got" 2>"$work/consume.err" || return 1
    grep -Fxf "$work/before/$2" "$work/got" | cmp - "$work/before/$2" || die "$2 was read without an error and without all its lines while $fault of 100 fail"
}

# Writes and flushes of which only some fail may cost ext4 something that it does not notice. Then nothing can be said of files on it; but
# not before every write and every flush has failed once.
drive_beyond_repair() {
    [ "$failures" -ge 2 ] || die "the file system does not come back: $(cat "$work/fsck")"
    cat "$work/summary"
    echo "broken: $failures kinds of failure: all there; then ext4 itself did not survive $fault of 100: $(head -n 1 "$work/fsck")"
    exit 0
}

node_start "${settings[@]}"
load_prepare
failures=0 right=0 refused=0
for fault in "writes 100" "flushes 100" "writes 60" "writes 20" "writes 3" "flushes 30"; do
    seed=$((seed + 1))
    load_begin "$seed"
    sleep 1.5
    rm -rf "$work/before" && cp -r "$work/acked" "$work/before"
    said_before=$(grep -c 'disk' "$work/node.log" || true)
    drive_tell fail $fault "$seed"
    for i in $(seq 100); do
        [ "$(health)" = 200 ] || break
        sleep 0.1
    done
    [ "$(health)" = 503 ] || die "healthz is $(health) although $fault of 100 fail"
    kill -0 "$node" || die "the node is gone although it could be read"
    [ "$(grep -c 'disk' "$work/node.log" || true)" -gt "$said_before" ] || die "the node says nothing of the disk"
    for topic in $(some_topics 10); do
        read_while 10 "$topic" || die "$topic cannot be read while $fault of 100 fail: $(cat "$work/consume.err")"
    done
    load_end
    node_kill
    drive_restore
    failures=$((failures + 1))
    echo "drive: $fault of 100 failed: $said" >>"$work/summary"
    node_start "${settings[@]}"
    load_check "after $fault of 100 failed (seed $seed)"
done
load_finish

# Reads. The node starts cold: nothing of the drive is in memory.
node_stop
rm -rf "$work/before" && cp -r "$work/acked" "$work/before"
for fault in "reads 100" "reads 20"; do
    seed=$((seed + 1))
    drive_restore
    node_start "${settings[@]}"
    drive_tell fail $fault "$seed"
    topics=($(some_topics 3))
    for topic in "${topics[@]}"; do
        if read_while 2 "$topic"; then right=$((right + 1)); else refused=$((refused + 1)); fi
    done
    # A reader that waits out the failure needs nothing but time.
    ("$TAFFRAIL" consume "${topics[0]}" --brokers "$brokers" --exit-at-end >"$work/waited" 2>"$work/consume.err") &
    waiting=$!
    sleep 1
    drive_tell on
    echo "drive: $fault of 100 failed: $said" >>"$work/summary"
    wait "$waiting" || die "a reader gave up while $fault of 100 failed: $(cat "$work/consume.err")"
    grep -Fxf "$work/before/${topics[0]}" "$work/waited" | cmp - "$work/before/${topics[0]}" || die "a reader went on without all lines"
    load_check "after $fault of 100 failed"
    # Not stopped: a node that could not look a name up to rename it does not call its directory clean.
    node_kill
done
[ "$refused" -gt 0 ] || die "no read ever failed"

# A start on such a drive: a line that says so, and nothing lost.
drive_restore
drive_tell fail reads 100 "$seed"
if "$TAFFRAIL" serve --data "$data" --listen 127.0.0.1:0 --admin 127.0.0.1:0 >"$work/started" 2>"$work/start.err"; then die "a node came up on a drive that cannot be read"; fi
[ "$(wc -l <"$work/start.err")" = 1 ] && grep -q 'disk' "$work/start.err" || die "a start on a drive that cannot be read says: $(cat "$work/start.err")"
drive_restore
node_start "${settings[@]}"
load_check "after a start that could not read"
node_stop
cat "$work/summary"
echo "broken: $failures kinds of failure: $(load_summary): all there"
