//! Head comment to come with the code.
pub mod group;
pub mod metadata;
