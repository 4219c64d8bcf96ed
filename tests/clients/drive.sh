# Sourced: an ext4 file system on a drive of our own, whose volatile cache can lose power and which can fail.
#
# FAILING_DRIVE names the drive's binary (tests/drive says what it does). The drive is a file in a FUSE file system,
# attached as a loop device, which passes every flush on. Needs root, /dev/fuse and loop devices; a script that cannot have them
# says so and ends with 77.

FAILING_DRIVE=${FAILING_DRIVE:-${CARGO_TARGET_DIR:-$tree/target}/release/failing-drive}
loop=''

skip() { echo "SKIPPED $(basename "$0"): $*"; exit 77; }

drive_make() { # BYTES
    [ -x "$FAILING_DRIVE" ] || die "$FAILING_DRIVE is not there: cargo build --release --package taffrail-tests --bin failing-drive"
    [ "$(id -u)" = 0 ] || skip "needs root to attach a drive"
    need mkfs.ext4 e2fsprogs
    mkdir "$work/drive" "$work/volume"
    { exec {fuse}<>/dev/fuse; } 2>/dev/null || skip "no /dev/fuse here"
    mount -i -t fuse -o "fd=$fuse,rootmode=40000,user_id=0,group_id=0" failing-drive "$work/drive" 2>/dev/null || skip "no FUSE file system may be mounted here"
    trap 'status=$?; drive_remove; finish $status' EXIT
    "$FAILING_DRIVE" "$work" "$1" <&"$fuse" 2>"$work/drive.log" &
    exec {fuse}>&-
    drive_attach || skip "no loop devices here"
    [ "$(cat "/sys/block/${loop#/dev/}/queue/write_cache")" = "write back" ] || die "the loop device would not pass flushes on"
    mkfs.ext4 -q -F -E nodiscard "$loop" || die "the drive cannot be formatted"
    mount "$loop" "$work/volume"
}

drive_attach() { loop=$(losetup --find --show "$work/drive/disk" 2>/dev/null); }

# The loop device goes with all that the kernel holds of its contents.
drive_detach() {
    [ -n "$loop" ] || return 0
    local i
    for i in $(seq 100); do
        mountpoint -q "$work/volume" && { umount "$work/volume" 2>/dev/null || { sleep 0.1; continue; }; }
        losetup -d "$loop" 2>/dev/null || true
        losetup "$loop" >/dev/null 2>&1 || { loop=''; return 0; }
        sleep 0.1
    done
    die "the loop device $loop is still in use: $(fuser -vm "$work/volume" 2>&1 | tail -n 3)"
}

# drive_tell COMMAND...: the drive obeys, and what it says stands in $said.
drive_tell() {
    echo "$*" >"$work/drive/control"
    said=$(cat "$work/drive/control")
    echo "drive: $said" >>"$work/node.log"
}

# drive_cut SEED: the power fails at one of the next writes or flushes.
drive_cut() {
    local i
    drive_tell cut "$1"
    for i in $(seq 1000); do
        echo state >"$work/drive/control"
        said=$(cat "$work/drive/control")
        case $said in cut:*) echo "drive: seed $1: $said" >>"$work/summary"; return ;; esac
        sleep 0.02
    done
    die "nothing is written to the drive, so its power does not fail"
}

# The drive is whole again; whatever the kernel remembered of it is not. Of a failed drive the file system is checked, as at boot. Where
# that is not enough, the file system has lost something of its own, and `drive_beyond_repair` says what becomes of the script.
drive_restore() {
    drive_detach
    drive_tell on
    drive_attach || die "the drive cannot be attached again"
    local checked=0
    e2fsck -fp "$loop" >"$work/fsck" 2>&1 || checked=$?
    [ "$checked" -le 1 ] || drive_beyond_repair
    mount "$loop" "$work/volume" || die "the file system cannot be mounted"
}

drive_beyond_repair() { die "the file system does not come back: $(cat "$work/fsck")"; }

drive_remove() {
    [ -z "$node" ] || { kill -9 "$node" 2>/dev/null; wait "$node" 2>/dev/null; node=''; } || true
    (drive_detach) || true
    umount "$work/drive" 2>/dev/null || umount -l "$work/drive" 2>/dev/null || true
}
