#!/usr/bin/env bash
# Sixteen real log files, line by line, through kcat and through `taffrail produce`, every codec in turn, while
# the broker is killed with -9 twice in the middle of producing and once more afterwards. Each topic, read
# back with kcat and with `taffrail consume`, must be its file: every line, in order, byte for byte, once.
source "$(dirname "$0")/node.sh"
need kcat kcat

codecs=(none gzip snappy lz4 zstd)

# Twenty pieces with pauses, so that producing goes on while the broker dies.
feed() {
    local i
    for i in $(seq 0 19); do
        sed -n "$((i * 100 + 1)),$((i * 100 + 100))p" "$1"
        sleep 0.2
    done
}

node_start
producers=()
index=0
for file in "$tree"/fixtures/loghub/*.log; do
    name=$(basename "$file" _2k.log)
    codec=${codecs[$((index % 5))]}
    index=$((index + 1))
    [ "$(wc -l <"$file")" -ge 1900 ] && [ "$(wc -l <"$file")" -le 2000 ] || die "$file is not the file this script was written for"
    # -E: without it kcat gives up by itself as soon as the only broker is down.
    feed "$file" | kcat -P -E -b "$brokers" -t "$name-kcat" -z "$codec" -X enable.idempotence=true -X acks=all \
        -X message.timeout.ms=120000 -X reconnect.backoff.max.ms=500 -X linger.ms=5 >"$work/$name-kcat.out" 2>&1 &
    producers+=("$!:$name-kcat")
    feed "$file" | "$TAFFRAIL" produce "$name-taffrail" --brokers "$brokers" --compression "$codec" \
        >"$work/$name-taffrail.out" 2>&1 &
    producers+=("$!:$name-taffrail")
done
[ "$index" = 16 ] || die "found $index files, not 16"

for pause in 1.7 2.1; do
    sleep "$pause"
    node_kill
    sleep 0.3
    node_start
done
for producer in "${producers[@]}"; do
    wait "${producer%%:*}" || die "producer ${producer#*:}: $(tail -n 3 "$work/${producer#*:}.out")"
done
node_kill
node_start

for file in "$tree"/fixtures/loghub/*.log; do
    name=$(basename "$file" _2k.log)
    # A consumer ends each value with a newline; the file's last line may have none.
    { cat "$file"; [ -z "$(tail -c 1 "$file")" ] || echo; } >"$work/expected"
    for topic in "$name-kcat" "$name-taffrail"; do
        kcat -C -q -e -b "$brokers" -t "$topic" -o beginning >"$work/got-kcat" 2>"$work/kcat.err" || die "kcat -C $topic: $(cat "$work/kcat.err")"
        cmp "$work/expected" "$work/got-kcat" || die "$topic read by kcat differs from $file"
        "$TAFFRAIL" consume "$topic" --brokers "$brokers" --from start --exit-at-end >"$work/got-taffrail" || die "taffrail consume $topic"
        cmp "$work/expected" "$work/got-taffrail" || die "$topic read by taffrail differs from $file"
    done
done
node_stop
echo "loghub: 16 files, 2 producers, 5 codecs, 3 kills: every line, in order, once"
