//! The cases that any client must pass, with older versions of Kafka's own Java client; see `compat_tests::client`.

compat_tests::old_client_cases!(version_2_1_1, JAVA_2_1_1);
compat_tests::old_client_cases!(version_2_8_2, JAVA_2_8_2);
compat_tests::old_client_cases!(version_3_0_2, JAVA_3_0_2);
compat_tests::old_client_cases!(version_3_9_1, JAVA_3_9_1);
compat_tests::old_client_cases!(version_4_0_0, JAVA_4_0_0);
