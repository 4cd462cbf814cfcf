//! Every case with two versions of this client; see `compat_tests::client`.

compat_tests::client_cases!(version_4_3_1, JAVA_4_3_1);
compat_tests::client_cases!(version_4_4_0, JAVA_4_4_0);
