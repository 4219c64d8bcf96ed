//! Head comment to come with the code.
pub mod metadata;
