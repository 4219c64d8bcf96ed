//! The platter holds what was synced, and of the rest only what may be there.

use super::*;
use crate::decision::Edits;

fn write(image: &mut Image, offset: usize, bytes: &[u8]) {
    image.write(offset, &[Bytes::copy_from_slice(bytes)], Fate::Sound);
}

fn cut(image: &mut Image, seed: u64, torn: bool) -> Loss {
    let decisions = Decisions::new(seed, Edits::default(), false);
    let stream = decisions.stream("cut");
    let dice = Dice {
        decisions: &decisions,
        stream,
    };
    image.power_cut(dice, torn)
}

#[test]
fn synced_bytes_survive_every_cut_beside_unsynced_ones_in_their_sector() {
    for seed in 0..500 {
        let mut image = Image::default();
        write(&mut image, 0, &[1; 300]);
        image.sync(image.moment());
        write(&mut image, 300, &[2; 1000]);
        cut(&mut image, seed, true);
        assert!(image.len() >= 300);
        assert_eq!(image.cache()[..300], [1; 300], "seed {seed}");
        assert_eq!(image.cache(), image.platter());
    }
}

#[test]
fn a_sector_is_always_a_whole_version_of_itself_unless_it_is_torn() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let mut image = Image::default();
        image.write_zeros(0, 512);
        image.sync(image.moment());
        write(&mut image, 0, &[1; 100]);
        write(&mut image, 100, &[2; 100]);
        write(&mut image, 50, &[3; 100]);
        cut(&mut image, seed, false);
        let sector = image.cache();
        seen.insert((sector[0], sector[50], sector[120], sector[199]));
    }
    let versions = [(0, 0, 0, 0), (1, 1, 0, 0), (1, 1, 2, 2), (1, 3, 3, 2)];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), versions);
}

#[test]
fn lengths_and_contents_survive_apart() {
    let (mut longer, mut shorter, mut holes) = (0, 0, 0);
    for seed in 0..500 {
        let mut image = Image::default();
        write(&mut image, 0, &[9; 4096]);
        image.sync(image.moment());
        write(&mut image, 4096, &[9; 4096]);
        cut(&mut image, seed, false);
        match image.len() {
            4096 => shorter += 1,
            8192 => longer += 1,
            other => panic!("nobody asked for {other} bytes"),
        }
        holes += usize::from(image.cache().contains(&0));
    }
    assert!(
        longer > 50 && shorter > 50 && holes > 50,
        "{longer} {shorter} {holes}"
    );
}

#[test]
fn a_sync_covers_what_was_there_when_it_began() {
    let mut later_lost = 0;
    for seed in 0..200 {
        let mut image = Image::default();
        write(&mut image, 0, &[1; 512]);
        let began = image.moment();
        write(&mut image, 512, &[2; 512]);
        image.sync(began);
        cut(&mut image, seed, false);
        assert_eq!(image.cache()[..512], [1; 512]);
        later_lost += usize::from(image.cache().get(512..1024) != Some(&[2; 512][..]));
    }
    assert!(later_lost > 50);
}

#[test]
fn truncated_bytes_come_back_only_if_the_truncation_was_lost() {
    let (mut back, mut gone) = (0, 0);
    for seed in 0..300 {
        let mut image = Image::default();
        write(&mut image, 0, &[1; 2048]);
        image.sync(image.moment());
        image.set_len(512);
        image.set_len(2048);
        assert_eq!(image.cache()[512..], [0; 1536]);
        cut(&mut image, seed, false);
        match image.cache() {
            all if all == [1; 2048] => back += 1,
            cut if cut == [1; 512] => gone += 1,
            extended => {
                assert_eq!(extended[..512], [1; 512]);
                assert_eq!(extended[512..], [0; 1536]);
                gone += 1;
            }
        }
    }
    assert!(back > 30 && gone > 30, "{back} {gone}");
    let mut image = Image::default();
    write(&mut image, 0, &[1; 2048]);
    image.sync(image.moment());
    image.set_len(512);
    image.set_len(2048);
    image.sync(image.moment());
    cut(&mut image, 1, false);
    assert_eq!(image.cache()[512..], [0; 1536]);
}

#[test]
fn an_old_version_of_bytes_overwritten_before_a_sync_can_survive() {
    let mut versions = std::collections::BTreeSet::new();
    for seed in 0..300 {
        let mut image = Image::default();
        image.write_zeros(0, 512);
        image.sync(image.moment());
        write(&mut image, 0, &[1; 512]);
        write(&mut image, 0, &[2; 512]);
        cut(&mut image, seed, false);
        versions.insert(image.cache()[0]);
    }
    assert_eq!(versions.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn many_unsynced_writes_are_written_back_and_stay_bounded() {
    let mut image = Image::default();
    for number in 0..10_000_usize {
        write(&mut image, number * 10, &[number as u8; 10]);
    }
    assert!(image.unsynced.len() <= UNSYNCED_MAX + 1);
    image.sync(image.moment());
    assert_eq!(image.cache(), image.platter());
}

#[test]
fn a_lost_write_shows_until_the_cache_is_dropped() {
    let mut image = Image::default();
    image.write_zeros(0, 1024);
    image.sync(image.moment());
    image.write(0, &[Bytes::from(vec![5; 512])], Fate::Lost);
    image.write(512, &[Bytes::from(vec![6; 512])], Fate::Misdirected(0));
    image.sync(image.moment());
    assert_eq!(image.cache()[..512], [5; 512]);
    image.drop_cache();
    assert_eq!(image.cache()[..512], [6; 512]);
    assert_eq!(image.cache()[512..], [0; 512]);
    let kinds: Vec<FaultKind> = image.scars_in(600..601).collect();
    assert!(kinds.contains(&FaultKind::DiskMisdirectedWrite));
    assert!(kinds.contains(&FaultKind::DiskCacheDropped));
}

#[test]
fn a_write_that_was_cut_off_afterwards_survives_a_cut_or_a_dropped_cache() {
    for seed in 0..100 {
        let mut image = Image::default();
        write(&mut image, 0, &[1; 2000]);
        image.set_len(700);
        image.drop_cache();
        assert_eq!(image.cache(), [1; 700]);
        cut(&mut image, seed, true);
        assert!([0, 700, 2000].contains(&image.len()), "{}", image.len());
    }
}
