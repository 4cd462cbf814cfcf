//! The differential runner: the same frames go to Apache Kafka and to Onelog, and the answers are compared field by field.
//!
//! `scenario` reads the tables in `compat-tests/differential/`, where a line is a request written as JSON with the field
//! names of Kafka's own message definitions. `schema` reads those definitions out of Kafka's jar, so that every version of
//! every API can be sent and read without a line of code; `encode`, `decode` and `records` are the codec over them. `play`
//! sends a scenario to one broker, `mask` hides what may differ from run to run, `compare` finds what differs and `known`
//! says which differences are right and why. `src/bin/differential` puts them together.
//!
//! Invariant: an answer that cannot be read, a closed connection and silence are outcomes like any other and are compared.

pub mod compare;
pub mod decode;
pub mod encode;
pub mod known;
pub mod mask;
pub mod play;
pub mod records;
pub mod scenario;
pub mod schema;
pub mod variables;
