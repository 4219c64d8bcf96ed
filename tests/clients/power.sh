#!/usr/bin/env bash
# Power cuts on a real file system: whatever was acknowledged (records, and the topics they are in) is there after
# each cut, byte for byte, in order, once. Small segments, so that files are rolled, named and removed all the time.
source "$(dirname "$0")/node.sh"
source "$(dirname "$0")/volume.sh"
volume_make 700M

data=$work/volume/data
cuts=${CUTS:-6} writers=3
mkdir "$work/acked"

# Short runs of the producer; a chunk is written down as acknowledged only after its run ended well.
writer() { # NUMBER ROUND
    local chunk topic
    for chunk in $(seq 1000); do
        topic=power-$1-$2-$((chunk / 8))
        seq -f "writer $1 round $2 chunk $chunk line %g" 40 >"$work/chunk-$1"
        "$TAFFRAIL" produce "$topic" --brokers "$brokers" <"$work/chunk-$1" 2>/dev/null || return 0
        cat "$work/chunk-$1" >>"$work/acked/$topic"
    done
}

options=(--set log.segment.bytes=16384)
for round in $(seq "$cuts"); do
    node_start "${options[@]}"
    jobs=()
    for number in $(seq "$writers"); do writer "$number" "$round" & jobs+=($!); done
    sleep "$((1 + RANDOM % 3)).$((RANDOM % 10))"
    volume_cut
    kill -9 "$node"; wait "$node" 2>/dev/null || true; node=''
    for job in "${jobs[@]}"; do kill "$job" 2>/dev/null || true; wait "$job" 2>/dev/null || true; done
    pkill -P $$ -x taffrail 2>/dev/null || true
    volume_unmount
    volume_mount || die "the file system does not come back"
    node_start "${options[@]}"
    for topic in "$work"/acked/*; do
        "$TAFFRAIL" consume "$(basename "$topic")" --brokers "$brokers" --exit-at-end >"$work/got" 2>"$work/consume.err" ||
            die "$(basename "$topic") cannot be read after cut $round: $(cat "$work/consume.err")"
        grep -Fxf "$topic" "$work/got" | cmp - "$topic" || die "$(basename "$topic") lost acknowledged lines in cut $round"
    done
    node_stop
done
volume_unmount
echo "power: $cuts cuts, $(cat "$work"/acked/* | wc -l) acknowledged lines in $(ls "$work/acked" | wc -l) topics: all there"
