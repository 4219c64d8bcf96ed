use super::*;
use crate::control::NoCommand;

const SIZE: u64 = 1 << 20;

/// A directory of its own for each test, removed at the end.
struct Scratch(std::path::PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).expect("the scratch directory is ours to remove");
    }
}

fn drive(name: &str) -> (Platter, Scratch) {
    let path = std::env::temp_dir().join(format!("failing-drive-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&path).expect("the temporary directory is writable");
    let platter = Platter::create(&path, SIZE).expect("a drive");
    (platter, Scratch(path))
}

fn tell(platter: &mut Platter, text: &str) -> String {
    let command = text.parse().expect("a command");
    platter.obey(command).expect("obeyed")
}

/// Writes at a place of no interest until the power fails there.
fn cut(platter: &mut Platter, seed: u64) {
    tell(platter, &format!("cut {seed}"));
    let failed = (0..CUT_AFTER_MAX + 24).find(|_| platter.write(SIZE - 512, &[9; 512]).is_err());
    failed.expect("the cut comes");
    assert!(tell(platter, "state").starts_with("cut: "));
}

fn read(platter: &mut Platter, offset: u64, len: usize) -> Vec<u8> {
    platter.read(offset, len).expect("read")
}

/// Which of the sectors from `offset` on begin with the byte.
fn kept(platter: &mut Platter, offset: u64, sectors: u64, byte: u8) -> Vec<bool> {
    (0..sectors)
        .map(|sector| read(platter, offset + sector * SECTOR, 512) == [byte; 512])
        .collect()
}

#[test]
fn what_was_flushed_survives_every_cut() {
    let (mut platter, _scratch) = drive("flushed");
    platter.write(8192, &[7; 4096]).expect("written");
    platter.flush().expect("flushed");
    for seed in 0..50 {
        platter
            .write(8192 + 4096, &[seed as u8 + 1; 8192])
            .expect("written");
        cut(&mut platter, seed);
        tell(&mut platter, "on");
        assert_eq!(read(&mut platter, 8192, 4096), [7; 4096]);
    }
}

#[test]
fn a_cut_keeps_any_sectors_and_drops_any_whatever_came_first() {
    let (mut platter, _scratch) = drive("reordered");
    let (mut later_only, mut earlier_only, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let byte = seed as u8 + 1;
        platter.write(8192, &[byte; 4096]).expect("written");
        platter.write(65536, &[byte; 4096]).expect("written");
        assert_eq!(
            read(&mut platter, 65536, 4096),
            [byte; 4096],
            "seen at once"
        );
        cut(&mut platter, seed);
        assert!(platter.read(0, 512).is_err(), "there is no power");
        assert!(platter.write(0, &[0; 512]).is_err());
        assert!(platter.flush().is_err());
        tell(&mut platter, "on");
        let earlier = kept(&mut platter, 8192, 8, byte);
        let later = kept(&mut platter, 65536, 8, byte);
        let all = |kept: &[bool]| kept.iter().all(|kept| *kept);
        let none = |kept: &[bool]| !kept.iter().any(|kept| *kept);
        later_only += u32::from(none(&earlier) && all(&later));
        earlier_only += u32::from(all(&earlier) && none(&later));
        torn += u32::from(!all(&earlier) && !none(&earlier));
    }
    assert!(
        later_only > 3 && earlier_only > 3 && torn > 3,
        "{later_only} {earlier_only} {torn}"
    );
}

#[test]
fn a_cut_comes_at_a_write_or_a_flush_and_when_something_is_held() {
    let (mut platter, _scratch) = drive("moment");
    let (mut at_write, mut at_flush) = (0, 0);
    for seed in 0..50 {
        tell(&mut platter, &format!("cut {seed}"));
        loop {
            if platter.write(8192, &[1; 512]).is_err() {
                at_write += 1;
                break;
            }
            if platter.flush().is_err() {
                at_flush += 1;
                break;
            }
            platter.flush().expect("nothing is held");
        }
        tell(&mut platter, "on");
    }
    assert!(at_write > 3 && at_flush > 3, "{at_write} {at_flush}");
}

#[test]
fn the_first_block_is_never_torn() {
    let (mut platter, _scratch) = drive("first");
    for seed in 0..100 {
        let byte = seed as u8 + 1;
        platter.write(0, &[byte; 8192]).expect("written");
        cut(&mut platter, seed);
        tell(&mut platter, "on");
        let first = kept(&mut platter, 0, 8, byte);
        assert!(first.iter().all(|kept| *kept == first[0]), "{first:?}");
    }
}

#[test]
fn a_failed_flush_loses_what_it_held_and_the_next_one_knows_nothing_of_it() {
    let (mut platter, _scratch) = drive("flush");
    let mut lost = 0;
    for seed in 0..50 {
        let byte = seed as u8 + 1;
        platter.write(8192, &[byte; 4096]).expect("written");
        tell(&mut platter, &format!("fail flushes 100 {seed}"));
        assert!(platter.flush().is_err());
        tell(&mut platter, "on");
        platter.flush().expect("the next one succeeds");
        lost += kept(&mut platter, 8192, 8, byte)
            .iter()
            .filter(|kept| !**kept)
            .count();
    }
    assert!(lost > 50, "{lost} sectors were lost");
}

#[test]
fn a_failed_write_leaves_any_of_its_sectors() {
    let (mut platter, _scratch) = drive("write");
    tell(&mut platter, "fail writes 100 3");
    assert!(platter.write(8192, &[1; 65536]).is_err());
    let kept = kept(&mut platter, 8192, 128, 1);
    assert!(kept.contains(&true) && kept.contains(&false), "{kept:?}");
    assert!(tell(&mut platter, "on").contains("failed 0 reads, 1 writes"));
    platter.write(8192, &[2; 512]).expect("healed");
}

#[test]
fn a_share_of_the_reads_fails() {
    let (mut platter, _scratch) = drive("reads");
    tell(&mut platter, "fail reads 50 1");
    let failed = (0..100).filter(|_| platter.read(0, 512).is_err()).count();
    assert!((20..80).contains(&failed), "{failed} of 100 failed");
}

#[test]
fn nothing_is_written_past_the_end_and_nothing_is_read_there() {
    let (mut platter, _scratch) = drive("end");
    assert!(platter.write(SIZE - 512, &[1; 1024]).is_err());
    assert!(platter.write(u64::MAX, &[1; 2]).is_err());
    assert_eq!(read(&mut platter, SIZE - 512, 1024).len(), 512);
}

#[test]
fn what_is_no_command_is_refused() {
    for text in [
        "",
        "cut",
        "cut x",
        "fail writes 101 1",
        "fail seeks 1 1",
        "off",
    ] {
        assert_eq!(text.parse::<Command>(), Err(NoCommand), "{text}");
    }
}
