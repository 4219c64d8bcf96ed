# Sourced: what several clients do to one broker at once, written down as it is acknowledged, and the check that it is all there.
#
# - Writers produce chunks of lines in short runs, into topics of their own that come into being by that.
# - Streams are two idempotent producers, one of them kcat, that outlive every death of the broker.
# - A maker creates topics and deletes some of them; a committer moves the offset of a group, one up at a time;
#   a roller fills a topic whose old segments go all the time.
# - Bulk producers send megabytes, so that segments are written and synced all the time and the journal goes round.
#
# Each worker is a process group of its own. It writes a thing down only after the command that did it ended well, so
# what is written down was acknowledged.

writers=3 bulks=2
pad=$(printf '%0500d' 0)
settings=(--set log.segment.bytes=16384 --set log.retention.check.interval.ms=300 --set log.segment.delete.delay.ms=200)

load_prepare() {
    need kcat kcat
    local number
    mkdir "$work/acked" "$work/bulk"
    : >"$work/made" && : >"$work/gone" && : >"$work/rolled"
    echo 0 >"$work/committed"
    "$TAFFRAIL" topic create counted --config segment.bytes=1048576 --brokers "$brokers" >/dev/null
    seq 20000 | "$TAFFRAIL" produce counted --brokers "$brokers" || die "produce to a whole drive"
    "$TAFFRAIL" topic create rolling --config retention.bytes=65536 --config segment.bytes=8192 --brokers "$brokers" >/dev/null
    for number in $(seq "$bulks"); do
        "$TAFFRAIL" topic create "bulk-$number" --config retention.bytes=4194304 --config segment.bytes=1048576 --brokers "$brokers" >/dev/null
        echo 0 >"$work/bulk-next-$number"
    done
    feed | kcat -P -E -b "$brokers" -t stream-kcat -X enable.idempotence=true -X acks=all -X message.timeout.ms=300000 \
        -X reconnect.backoff.max.ms=500 -X linger.ms=5 >"$work/stream-kcat.out" 2>&1 &
    streams=("$!:kcat")
    feed | "$TAFFRAIL" produce stream-taffrail --brokers "$brokers" >"$work/stream-taffrail.out" 2>&1 &
    streams+=("$!:taffrail")
}

# Lines without end, until the file `enough` is there.
feed() {
    local i=0
    while [ ! -e "$work/enough" ]; do
        seq "$i" "$((i + 9))"
        i=$((i + 10))
        sleep 0.05
    done
}

writer() { # NUMBER ROUND
    local chunk topic
    for chunk in $(seq 1000); do
        topic=chunks-$1-$2-$((chunk / 8))
        seq -f "writer $1 round $2 chunk $chunk line %g" 40 >"$work/chunk-$1"
        "$TAFFRAIL" produce "$topic" --brokers "$brokers" <"$work/chunk-$1" || return 0
        cat "$work/chunk-$1" >>"$work/acked/$topic"
    done
}

maker() { # ROUND
    local i
    for i in $(seq 1000); do
        "$TAFFRAIL" topic create "made-$1-$i" --partitions 3 --brokers "$brokers" || return 0
        if [ $((i % 2)) = 0 ]; then
            echo "made-$1-$i" >>"$work/made"
        else
            echo "$i" | "$TAFFRAIL" produce "made-$1-$i" --brokers "$brokers" || return 0
            "$TAFFRAIL" topic delete "made-$1-$i" --brokers "$brokers" || return 0
            echo "made-$1-$i" >>"$work/gone"
        fi
    done
}

committer() {
    local next=$(($(cat "$work/committed") + 1))
    while "$TAFFRAIL" group reset counters --topic counted --to "$next" --brokers "$brokers"; do
        echo "$next" >"$work/committed.new" && mv "$work/committed.new" "$work/committed"
        next=$((next + 1))
    done
}

roller() { # ROUND
    local chunk
    for chunk in $(seq 1000); do
        seq -f "round $1 chunk $chunk line %g" 200 >"$work/chunk-rolling"
        "$TAFFRAIL" produce rolling --brokers "$brokers" <"$work/chunk-rolling" || return 0
        cat "$work/chunk-rolling" >>"$work/rolled"
    done
}

# Every line a number of its own, never used again; of what was acknowledged the first and last number is written down.
bulk() { # NUMBER
    local first
    while true; do
        first=$(cat "$work/bulk-next-$1")
        echo $((first + 4000)) >"$work/bulk-next-$1.new" && mv "$work/bulk-next-$1.new" "$work/bulk-next-$1"
        seq -f "%.0f $pad" "$first" $((first + 3999)) >"$work/chunk-bulk-$1"
        "$TAFFRAIL" produce "bulk-$1" --brokers "$brokers" <"$work/chunk-bulk-$1" || return 0
        echo "$first $((first + 3999))" >>"$work/bulk/bulk-$1"
    done
}

load_begin() { # ROUND
    local number
    workers=()
    set -m
    for number in $(seq "$writers"); do writer "$number" "$1" >/dev/null 2>&1 & workers+=($!); done
    for number in $(seq "$bulks"); do bulk "$number" >/dev/null 2>&1 & workers+=($!); done
    maker "$1" >/dev/null 2>&1 & workers+=($!)
    committer >/dev/null 2>&1 & workers+=($!)
    roller "$1" >/dev/null 2>&1 & workers+=($!)
    set +m
}

load_end() {
    local worker
    for worker in "${workers[@]}"; do
        kill -9 -- "-$worker" 2>/dev/null || true
        wait "$worker" 2>/dev/null || true
    done
}

# load_check WHEN: whatever was written down is there: lines in order, once; topics; the group's offset.
load_check() {
    local topic offset committed
    for topic in "$work"/acked/*; do
        consume "$(basename "$topic")" || die "$(basename "$topic") cannot be read $1: $(cat "$work/consume.err")"
        grep -Fxf "$topic" "$work/got" | cmp - "$topic" || die "$(basename "$topic") lost acknowledged lines $1"
    done
    "$TAFFRAIL" topic list --brokers "$brokers" >"$work/topics" || die "no list of topics $1"
    tr ' ' '\n' <"$work/topics" | sort -u >"$work/names"
    sort "$work/made" | comm -23 - "$work/names" | grep . && die "these topics were made, and are not there $1"
    sort "$work/gone" | comm -12 - "$work/names" | grep . && die "these topics were deleted, and are there $1"
    committed=$(cat "$work/committed")
    if [ "$committed" != 0 ]; then
        offset=$("$TAFFRAIL" group describe counters --json --brokers "$brokers" | grep -o '"offset": *[0-9]*' | grep -o '[0-9]*$')
        # One more may have been committed and not yet answered.
        [ "$offset" = "$committed" ] || [ "$offset" = "$((committed + 1))" ] || die "the group's offset is $offset, and $committed was committed $1"
        echo "$offset" >"$work/committed"
    fi
    consume_at_rest rolling || die "rolling cannot be read $1: $(cat "$work/consume.err")"
    grep -Fxf "$work/rolled" "$work/got" >"$work/got-rolled" || [ ! -s "$work/rolled" ] || die "rolling has nothing left $1"
    tail -n "$(wc -l <"$work/got-rolled")" "$work/rolled" | cmp - "$work/got-rolled" || die "rolling lost acknowledged lines $1"
    load_check_bulk "$1"
}

# load_check_bulk WHEN: what is left of the bulk is the end of what was acknowledged, and each line is whole.
load_check_bulk() {
    local topic name
    for topic in "$work"/bulk/*; do
        name=$(basename "$topic")
        consume_at_rest "$name" || die "$name cannot be read $1: $(cat "$work/consume.err")"
        awk -v pad="$pad" '$0 != $1 " " pad { exit 1 }' "$work/got" || die "$name has lines that nobody sent $1"
        awk 'NR == FNR { for (n = $1; n <= $2; n++) acked[n]; next } $1 in acked { print $1 }' "$topic" "$work/got" >"$work/got-bulk"
        [ -s "$work/got-bulk" ] || die "$name has nothing left $1"
        awk '{ for (n = $1; n <= $2; n++) print n }' "$topic" | tail -n "$(wc -l <"$work/got-bulk")" | cmp - "$work/got-bulk" ||
            die "$name lost acknowledged lines $1"
    done
}

consume() { # TOPIC
    "$TAFFRAIL" consume "$1" --brokers "$brokers" --exit-at-end >"$work/got" 2>"$work/consume.err"
}

# As `consume`, of a topic with retention: what retention takes while it is read would look like a hole.
consume_at_rest() { # TOPIC
    local try
    for try in $(seq 20); do
        consume "$1" || return 1
        grep -q 'were removed before they were read' "$work/consume.err" || return 0
        sleep 0.5
    done
    return 1
}

# The streams end, and all that they were fed is there, in order, once.
load_finish() {
    local stream name
    touch "$work/enough"
    for stream in "${streams[@]}"; do
        name=${stream#*:}
        wait "${stream%%:*}" || die "the stream of $name: $(tail -n 3 "$work/stream-$name.out")"
        consume "stream-$name" || die "stream-$name cannot be read: $(cat "$work/consume.err")"
        [ -s "$work/got" ] || die "stream-$name is empty"
        seq 0 "$(($(wc -l <"$work/got") - 1))" | cmp - "$work/got" || die "stream-$name is not what was sent, in order, once"
    done
}

load_summary() {
    echo "$(cat "$work"/acked/* "$work/rolled" | wc -l) lines and $(awk '{ n += $2 - $1 + 1 } END { print int(n / 2048) }' "$work"/bulk/*) MB in $(ls "$work/acked" | wc -l) topics, $(wc -l <"$work/made") topics made," \
        "$(wc -l <"$work/gone") deleted, $(cat "$work/committed") commits, two streams over all"
}
