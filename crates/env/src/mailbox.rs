//! The only code that crosses threads: bounded mailboxes between shards, and one-time replies.
//!
//! (in work)
