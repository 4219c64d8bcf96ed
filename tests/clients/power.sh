#!/usr/bin/env bash
# Power cuts on ext4, on a drive with a volatile write cache: of what was not flushed any sectors are kept and any lost, in
# any order. Whatever was acknowledged (records, topics, deletions, offsets) is there after each cut, byte for byte, in
# order, once. Small segments, so that files are made, rolled, renamed and removed all the time.
source "$(dirname "$0")/node.sh"
source "$(dirname "$0")/drive.sh"
source "$(dirname "$0")/load.sh"
# Small, so that its journal is, and goes round.
drive_make $((300 << 20))

data=$work/volume/data
cuts=${CUTS:-8} first=${SEED:-$((RANDOM * 100))}
node_start "${settings[@]}"
load_prepare
for seed in $(seq "$first" $((first + cuts - 1))); do
    load_begin "$seed"
    sleep "$((2 + RANDOM % 2)).$((RANDOM % 10))"
    drive_cut "$seed"
    node_kill
    load_end
    drive_restore
    node_start "${settings[@]}"
    load_check "after cut $seed"
    # Cuts come in a life that began with a recovery, and in one that began after a clean stop.
    [ $((seed % 2)) = 0 ] || { node_stop; node_start "${settings[@]}"; }
done
load_finish
node_stop
"$TAFFRAIL" log verify "$data" >"$work/verified" || die "the directory does not verify: $(tail -n 3 "$work/verified")"
cat "$work/summary"
echo "power: $cuts cuts from seed $first on: $(load_summary): all there"
