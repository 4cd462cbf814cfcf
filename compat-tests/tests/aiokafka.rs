//! Every case with this client; see `compat_tests::client`.

compat_tests::client_cases!(aiokafka, AIOKAFKA);
