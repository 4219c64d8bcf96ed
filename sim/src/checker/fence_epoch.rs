//! FENCE-EPOCH: a request in the name of an epoch that is over, or has not begun, is not answered as if it were of the present one; and one of the
//! present epoch is not taken for such a request.
//!
//! The epochs of a fetch session (KIP-227) count the answers that its client has taken. So a client that repeats one is refused, one that
//! goes on with the next is not, and the answer speaks of nothing but what the session asks for at that epoch. The epochs of a
//! partition's leaders stand in its batches.

use super::{Case, Checker, Violation};
use crate::history::{ClientId, Event};
use std::collections::BTreeMap;
use taffrail_wire::ErrorCode;

/// Remembers the next epoch of each fetch session of a client.
#[derive(Default)]
pub struct FenceEpoch {
    next: BTreeMap<(ClientId, i32), i32>,
}

fn broken(witness: String) -> Result<(), Violation> {
    Err(Violation::new("FENCE-EPOCH", witness))
}

impl FenceEpoch {
    /// The session's next epoch, if it is known. One that is to be opened begins with 0.
    fn next_of(&self, client: ClientId, session: i32) -> Option<i32> {
        match session {
            0 => Some(0),
            _ => self.next.get(&(client, session)).copied(),
        }
    }

    /// An answer without an error.
    fn on_answer(
        &mut self,
        (client, session, epoch): (ClientId, i32, i32),
        belongs_to: i32,
        (asked, answered): (&[String], &[String]),
    ) -> Result<(), Violation> {
        if let Some(next) = self.next_of(client, session)
            && epoch != next
        {
            return broken(format!(
                "a fetch of epoch {epoch} of session {session} was answered, though the next is {next}"
            ));
        }
        // Each is answered once.
        let mut open: Vec<&String> = asked.iter().collect();
        for name in answered {
            match open.iter().position(|asked| *asked == name) {
                Some(place) => {
                    open.swap_remove(place);
                }
                None => {
                    return broken(format!(
                        "{name} is answered, which the session does not ask for"
                    ));
                }
            }
        }
        if belongs_to != 0 {
            self.next.insert((client, belongs_to), epoch + 1);
        }
        Ok(())
    }
}

impl Checker for FenceEpoch {
    fn invariants(&self) -> &'static [&'static str] {
        &["FENCE-EPOCH"]
    }

    fn on_event(&mut self, case: &Case<'_>) -> Result<(), Violation> {
        match case.event {
            Event::SessionAnswered {
                client,
                session,
                epoch,
                answer,
                asked,
                answered,
            } => match answer {
                Ok(belongs_to) => {
                    let request = (*client, *session, *epoch);
                    self.on_answer(request, *belongs_to, (asked, answered))
                }
                // That the session is forgotten may be: there was no room for it any more.
                Err(ErrorCode::InvalidFetchSessionEpoch)
                    if self.next_of(*client, *session) == Some(*epoch) =>
                {
                    broken(format!(
                        "epoch {epoch} of session {session} is next, and is refused"
                    ))
                }
                Err(_) => Ok(()),
            },
            Event::EpochClaimed {
                partition,
                epoch,
                begun,
                answered: true,
            } if epoch > begun => broken(format!(
                "{partition} answers a fetch of leader epoch {epoch}, which has not begun"
            )),
            _ => Ok(()),
        }
    }
}
