#!/usr/bin/env bash
# A disk that fills up: produce is refused with an error that clients retry, reading goes on, a restart works, and
# writing resumes by itself when a topic is deleted. What was acknowledged stays, what was refused does not half appear.
source "$(dirname "$0")/node.sh"
source "$(dirname "$0")/volume.sh"
need kcat kcat
volume_make 160M

data=$work/volume/data
node_start --set log.segment.bytes=8388608
"$TAFFRAIL" topic create keeper --brokers "$brokers" >/dev/null
seq 1000 | "$TAFFRAIL" produce keeper --brokers "$brokers" || die "produce to an empty disk"

# Chunks of 4 MB until one is refused.
acked=0
for chunk in $(seq 100); do
    seq "$((chunk * 10000))" "$((chunk * 10000 + 9999))" | awk -v pad="$(printf 'x%.0s' $(seq 400))" '{print $1, pad}' >"$work/chunk"
    if kcat -P -b "$brokers" -t filler -X acks=all -X enable.idempotence=true -X message.timeout.ms=6000 <"$work/chunk" 2>"$work/kcat.err"; then
        acked=$chunk
    else
        break
    fi
done
[ "$acked" -ge 5 ] && [ "$acked" -lt 100 ] || die "the disk did not fill as it should: $acked chunks were acknowledged"
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$admin/metrics")" = 200 ] || die "metrics are gone"

check() { # WHEN
    kcat -C -q -e -b "$brokers" -t keeper -o beginning 2>"$work/kcat.err" | cmp - <(seq 1000) || die "keeper cannot be read $1"
    kcat -C -q -e -b "$brokers" -t filler -o beginning -f '%s\n' 2>"$work/kcat.err" | cut -d' ' -f1 >"$work/got" || die "filler cannot be read $1"
    # Every acknowledged number in order, then at most a part of the refused chunk, nothing twice.
    head -n "$((acked * 10000))" "$work/got" | cmp - <(seq 10000 "$((acked * 10000 + 9999))") || die "acknowledged records are missing $1"
    tail -n "+$((acked * 10000 + 1))" "$work/got" | awk -v next_one="$(((acked + 1) * 10000))" '$1 != next_one++ {exit 1}' || die "the refused chunk came in pieces $1"
}
check "on a full disk"
node_kill
node_start --set log.segment.bytes=8388608
check "after a restart on a full disk"

"$TAFFRAIL" topic delete filler --brokers "$brokers" || die "a topic cannot be deleted on a full disk"
resumed=''
for _ in $(seq 30); do
    if seq 7 | kcat -P -b "$brokers" -t resumed -X message.timeout.ms=2000 2>"$work/kcat.err"; then resumed=yes; break; fi
done
[ "$resumed" = yes ] || die "writing did not resume after a topic was deleted"
node_kill
node_start
kcat -C -q -e -b "$brokers" -t resumed -o beginning 2>"$work/kcat.err" | tail -n 7 | cmp - <(seq 7) || die "what was written after the disk was full is gone"
node_stop
volume_unmount
echo "full: $acked chunks of 4 MB filled the disk; refused, read, restarted, resumed"
