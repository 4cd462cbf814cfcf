//! Every case with this client; see `compat_tests::client`.

compat_tests::client_cases!(confluent_kafka, CONFLUENT_KAFKA);
