use super::*;
use crate::tests::Scratch;

#[test]
fn without_reservations_room_is_asked_for_what_the_file_lacks() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    let file = open(&path, OpenMode::CreateNew).expect("a new file");
    write_zeros(&file, 0, 4096).expect("written");
    let room = || space_of(fs::fstatvfs(&file).expect("a file system")).available;
    // Others use this file system too, so twice the room and half of it.
    assert_eq!(find_room(&file, 0, room() / 2), Ok(()));
    assert_eq!(find_room(&file, 0, room() * 2), Err(Errno::NOSPC));
    // What the file has already takes no room, and neither does the hole before the range.
    assert_eq!(find_room(&file, 0, 4096), Ok(()));
    let far = room() * 4;
    assert_eq!(find_room(&file, far, far + 4096), Ok(()));
    truncate(&file, far).expect("a sparse file");
    assert_eq!(find_room(&file, 0, far), Ok(()));
}

#[test]
fn a_file_system_that_cannot_reserve_is_asked_for_its_room() {
    // Files of /proc take no reservations, and have no room to tell of.
    let file = open(Path::new("/proc/self/comm"), OpenMode::ReadWrite).expect("a file");
    let flags = FallocateFlags::KEEP_SIZE;
    assert_eq!(fs::fallocate(&file, flags, 0, 1), Err(Errno::OPNOTSUPP));
    assert_eq!(reserve(&file, 0, 1), Err(Errno::NOSPC));
    assert_eq!(reserve(&file, 0, 0), Ok(()));
    assert_eq!(reserve(&file, u64::MAX, 1), Err(Errno::INVAL));
}
