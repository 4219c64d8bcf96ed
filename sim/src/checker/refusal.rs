//! What is wrong with a refusal to start, if anything is. Which judge says so depends on what the process complains of.
//!
//! A directory that a process left, however it died, is there to be started with. One that was hurt since may be refused where nothing
//! else holds what was there; then the refusal names the file, and leaves everything as it was found.

use crate::history::Hurt;

/// `None` if nothing is.
pub fn objection(after: &str, why: &str, hurt: Option<&Hurt>) -> Option<String> {
    let Some(hurt) = hurt else {
        return Some(format!("the broker does not come back {after}: {why}"));
    };
    let what = match hurt {
        Hurt { has_copy: true, .. } => {
            "there is another copy of what was damaged, and the broker halts"
        }
        Hurt {
            is_named: false, ..
        } => "a refusal does not say which file is damaged",
        Hurt {
            is_changed: true, ..
        } => "a broker that refuses a directory has changed it",
        _ => return None,
    };
    Some(format!("{what} ({}): {why}", hurt.place))
}
