//! Head comment to come with the code.
