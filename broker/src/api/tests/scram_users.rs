//! SCRAM users: what is made of requests that change them, and what is told.

use protocol::StrBytes;
use protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::describe_user_scram_credentials_request::UserName;
use protocol::messages::*;

use super::Client;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn scram_user(name: &str, mechanism: i8, iterations: i32) -> ScramCredentialUpsertion {
    ScramCredentialUpsertion::default()
        .with_name(text(name))
        .with_mechanism(mechanism)
        .with_iterations(iterations)
        .with_salt("salt".into())
        .with_salted_password("salted".into())
}

fn scram_deletion(name: &str, mechanism: i8) -> ScramCredentialDeletion {
    ScramCredentialDeletion::default().with_name(text(name)).with_mechanism(mechanism)
}

fn alter_scram(
    client: &Client,
    deletions: Vec<ScramCredentialDeletion>,
    upsertions: Vec<ScramCredentialUpsertion>,
) -> Vec<(String, i16)> {
    let request =
        AlterUserScramCredentialsRequest::default().with_deletions(deletions).with_upsertions(upsertions);
    let response: AlterUserScramCredentialsResponse =
        client.call(ApiKey::AlterUserScramCredentials, 0, &request);
    response.results.iter().map(|result| (result.user.to_string(), result.error_code)).collect()
}

/// User, error, mechanisms with iterations.
type Described = (String, i16, Vec<(i8, i32)>);

fn scram_users(client: &Client, names: &[&str]) -> Vec<Described> {
    let users = names.iter().map(|name| UserName::default().with_name(text(name))).collect();
    let request = DescribeUserScramCredentialsRequest::default().with_users(Some(users));
    let response: DescribeUserScramCredentialsResponse =
        client.call(ApiKey::DescribeUserScramCredentials, 0, &request);
    let results = response.results.iter().map(|result| {
        let infos = result.credential_infos.iter().map(|info| (info.mechanism, info.iterations));
        (result.user.to_string(), result.error_code, infos.collect())
    });
    results.collect()
}

#[test]
fn scram_users_are_made_kept_over_a_restart_and_deleted() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    let made = alter_scram(&client, vec![], vec![scram_user("a/b=c", 1, 4096), scram_user("z", 2, 5000)]);
    assert_eq!(made, [("a/b=c".to_owned(), 0), ("z".to_owned(), 0)]);
    assert_eq!(alter_scram(&client, vec![], vec![scram_user("a/b=c", 2, 8192)]), [("a/b=c".to_owned(), 0)]);
    client = client.reopened();
    let all = [("a/b=c".to_owned(), 0, vec![(1, 4096), (2, 8192)]), ("z".to_owned(), 0, vec![(2, 5000)])];
    assert_eq!(scram_users(&client, &[]), all);
    assert_eq!(alter_scram(&client, vec![scram_deletion("a/b=c", 1)], vec![]), [("a/b=c".to_owned(), 0)]);
    assert_eq!(scram_users(&client, &["a/b=c"]), [("a/b=c".to_owned(), 0, vec![(2, 8192)])]);
    assert_eq!(alter_scram(&client, vec![scram_deletion("a/b=c", 1)], vec![]), [("a/b=c".to_owned(), 91)]);
    assert_eq!(
        scram_users(&client, &["z", "nobody", "z"]),
        [("z".to_owned(), 92, vec![]), ("nobody".to_owned(), 91, vec![])]
    );
}

#[test]
fn of_one_request_only_right_changes_are_made_and_none_of_a_user_who_is_named_twice() {
    let client = Client::new();
    let deletions = vec![scram_deletion("nobody", 1), scram_deletion("twice", 7)];
    let wrong =
        [("", 1, 4096), ("mechanism", 3, 4096), ("few", 1, 4095), ("many", 1, 16385), ("twice", 1, 4096)];
    let wrong = wrong.map(|(name, mechanism, iterations)| scram_user(name, mechanism, iterations));
    let right = [scram_user("good", 1, 4096), scram_user("double", 1, 4096), scram_user("double", 2, 4096)];
    let outcomes = alter_scram(&client, deletions, wrong.into_iter().chain(right).collect());
    let expected = [
        ("nobody", 91),
        ("twice", 33),
        ("", 93),
        ("mechanism", 33),
        ("few", 93),
        ("many", 93),
        ("good", 0),
        ("double", 92),
    ];
    assert_eq!(outcomes, expected.map(|(user, error)| (user.to_owned(), error)));
    assert_eq!(scram_users(&client, &[]), [("good".to_owned(), 0, vec![(1, 4096)])]);
}
