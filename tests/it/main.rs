//! Everything that looks at the product from outside, as one binary: the shape of the tree, the
//! formats, the simulator, and a real node under real clients.

mod broker;
mod command_line;
mod hostile;
mod librdkafka;
mod node;
mod tidy;
