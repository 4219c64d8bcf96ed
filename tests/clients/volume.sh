# Sourced: a small ext4 file system of our own in a file, to be filled.
#
# Needs root and loop devices; a script that cannot have them says so and ends with 77.

volume_make() { # SIZE
    [ "$(id -u)" = 0 ] || { echo "SKIPPED $(basename "$0"): needs root to mount a file system"; exit 77; }
    need mkfs.ext4 e2fsprogs
    truncate -s "$1" "$work/image"
    mkfs.ext4 -q -F "$work/image"
    mkdir -p "$work/volume"
    volume_mount || { echo "SKIPPED $(basename "$0"): no loop devices here"; exit 77; }
    trap 'status=$?; volume_unmount; finish $status' EXIT
}
volume_mount() { mount -o loop "$work/image" "$work/volume"; }
volume_unmount() {
    [ -z "$node" ] || { kill -9 "$node" 2>/dev/null; wait "$node" 2>/dev/null; node=''; } || true
    for _ in $(seq 50); do umount "$work/volume" 2>/dev/null && return; mountpoint -q "$work/volume" || return 0; sleep 0.1; done
    umount -l "$work/volume"
}
