//! What counts as a strike.

use super::kind_of;
use crate::fault::FaultKind;

#[test]
fn every_kind_of_fault_is_known_by_the_stream_that_draws_it() {
    for kind in FaultKind::ALL.iter().copied() {
        let name = kind.name();
        for label in [
            name.to_owned(),
            format!("n12/{name}"),
            format!("atlas/{name}"),
        ] {
            assert_eq!(kind_of(&label), Some(kind), "{label}");
        }
        for label in [format!("swarm/{name}"), format!("n12/{name}/details")] {
            assert_eq!(kind_of(&label), None, "{label}");
        }
    }
    for label in ["net/delay", "profile/length", "n1/disk/damage", "schedule"] {
        assert_eq!(kind_of(label), None, "{label}");
    }
}
