#!/usr/bin/env bash
# Apache Kafka 4.3.1's own tools against a node: console producer and consumer in every codec, consumer-groups, configs,
# get-offsets; then, after a kill -9 and a clean shutdown, its DumpLogSegments reads every segment and index and
# must find nothing to complain about.
source "$(dirname "$0")/node.sh"
need java openjdk-17-jre-headless
need mvn maven

jars=${CARGO_TARGET_DIR:-$tree/target}/kafka-tools
if [ ! -e "$jars/done" ]; then
    mvn -q -B -f "$tree/fixtures/kafka-tools/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars" -DincludeScope=runtime >"$work/mvn.log" 2>&1 ||
        { tail -n 5 "$work/mvn.log" >&2; die "cannot get Kafka's jars"; }
    touch "$jars/done"
fi
tool() { java -XX:TieredStopAtLevel=1 -cp "$jars/*" "$@" 2>>"$work/tools.err"; }
same() { diff <(printf '%s\n' "$2") <(printf '%s\n' "$3") >"$work/diff" || { head -n 10 "$work/diff" >&2; die "$1"; }; }

node_start --set log.segment.bytes=131072 --set num.partitions=1
b=(--bootstrap-server "$brokers")
topics=org.apache.kafka.tools.TopicCommand
tool $topics "${b[@]}" --create --topic console --partitions 3 --config retention.ms=1234567890 >/dev/null
tool $topics "${b[@]}" --describe --topic console >"$work/describe"
grep -q 'PartitionCount: 3.*retention.ms=1234567890' "$work/describe" || die "topics --describe says $(cat "$work/describe")"

for i in $(seq 200); do printf 'n:%d\tkey-%d\tvalue-%d\n' "$i" "$i" "$i"; done >"$work/input"
for codec in none gzip snappy lz4 zstd; do
    tool org.apache.kafka.tools.ConsoleProducer "${b[@]}" --topic console --compression-codec $codec \
        --reader-property parse.key=true --reader-property parse.headers=true <"$work/input" || die "console-producer $codec"
done
want=$(for i in 1 2 3 4 5; do cat "$work/input"; done | sort)
got=$(tool org.apache.kafka.tools.consumer.ConsoleConsumer "${b[@]}" --topic console --from-beginning --group readers --max-messages 1000 \
    --timeout-ms 30000 --formatter-property print.key=true --formatter-property print.headers=true | sort)
same "console-consumer does not read what console-producer wrote" "$want" "$got"

groups=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand
same "consumer-groups --list" readers "$(tool $groups "${b[@]}" --list)"
lag=$(tool $groups "${b[@]}" --describe --group readers | awk '$1 == "readers" {committed += $4; end += $5; lag += $6} END {print committed, end, lag}')
same "consumer-groups --describe: committed, end, lag" "1000 1000 0" "$lag"
tool $groups "${b[@]}" --group readers --reset-offsets --topic console:1 --to-offset 7 --execute >/dev/null
same "consumer-groups --reset-offsets" 7 "$(tool $groups "${b[@]}" --describe --group readers | awk '$1 == "readers" && $3 == 1 {print $4}')"

# Real lines in many segments, by both idempotent producers, with a kill in between.
index=0
for file in "$tree"/fixtures/loghub/*.log; do
    codec=$(cut -d' ' -f$((index % 5 + 1)) <<<"none gzip snappy lz4 zstd")
    index=$((index + 1))
    "$TAFFRAIL" produce lines --brokers "$brokers" --compression "$codec" <"$file" || die "taffrail produce $file"
    [ $((index % 6)) != 0 ] || { node_kill; node_start --set log.segment.bytes=131072 --set num.partitions=1; }
done
same "get-offsets" "lines:0:$(for f in "$tree"/fixtures/loghub/*.log; do { cat "$f"; [ -z "$(tail -c 1 "$f")" ] || echo; }; done | wc -l)" \
    "$(tool org.apache.kafka.tools.GetOffsetShell "${b[@]}" --topic lines)"
tool $groups "${b[@]}" --group readers --delete >/dev/null
same "consumer-groups --delete" "" "$(tool $groups "${b[@]}" --list)"
node_stop

files=$(find "$work/data" -name '0*.log' -o -name '0*.index' -o -name '0*.timeindex' -o -name '0*.snapshot' | sort)
[ "$(grep -c '\.log$' <<<"$files")" -ge 20 ] || die "too few segments to judge: $(wc -l <<<"$files")"
tool org.apache.kafka.tools.DumpLogSegments --deep-iteration --files "$(paste -sd, <<<"$files")" >"$work/dump" || die "dump-log exits $?"
# The tool does not exit with an error when it finds one; it says so.
if grep -E -i 'mismatch|exception|isvalid: false|not valid|could not|out of order|Found|recover|corrupt' "$work/dump" | head -n 5 | grep .; then die "dump-log complains"; fi
if grep -E -i 'exception|error' "$work/tools.err" | head -n 5 | grep .; then die "a tool complains"; fi
records=$(grep -c '| offset: ' "$work/dump")
[ "$records" -ge 32000 ] || die "dump-log saw $records records"
same "batches whose position does not follow from the one before" "" "$(awk '/^Dumping/ {next_at = 0} /^baseOffset/ {for (i = 1; i <= NF; i++) {if ($i == "position:") at = $(i + 1); if ($i == "size:") size = $(i + 1)}; if (at != next_at) print; next_at = at + size}' "$work/dump" | head -n 3)"
echo "kafka: console tools, groups, offsets, and DumpLogSegments over $(wc -l <<<"$files") files and $records records"
