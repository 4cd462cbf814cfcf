//! Consumer groups, classic and of the consumer protocol (KIP-848): joining, leaving, dying, resuming from commits. Every
//! member is a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{expect_equal, offsets};
use crate::clock;
use crate::driver::Driver;
use crate::record::{ReceivedRecord, Record};
use crate::scene::Scene;
use crate::verbs::{MemberState, Membership, ProduceOptions, group_poll};

const PARTITIONS: i32 = 6;
const POLL: Duration = Duration::from_millis(250);
const FORM_LIMIT: Duration = Duration::from_secs(40);

/// The first member holds all six partitions; with two more each holds some and none is held twice; records reach
/// their holder once; when one leaves, the others hold everything long before its session would have run out.
pub fn three_members_share_a_topic_and_a_leaver_hands_over_at_once(scene: &Scene) -> Result<()> {
    three_members_share_a_topic(scene, Membership::Classic { session: Duration::from_secs(30) })
}

/// The same by the consumer protocol, in which the broker assigns.
pub fn three_members_share_a_topic_by_the_consumer_protocol(scene: &Scene) -> Result<()> {
    three_members_share_a_topic(scene, Membership::Consumer)
}

fn three_members_share_a_topic(scene: &Scene, membership: Membership) -> Result<()> {
    let join = |group: &str, topic: &str| join_as(scene, group, topic, membership);
    let mut admin = scene.driver()?;
    let topic = scene.new_topic(&mut admin, PARTITIONS, &[])?;
    let group = scene.unique_name();
    let mut first = join(&group, &topic)?;
    gather(&mut [&mut first])?;
    let mut second = join(&group, &topic)?;
    let mut third = join(&group, &topic)?;
    gather(&mut [&mut first, &mut second, &mut third])?;

    let sent = produce_round(&mut admin, &topic, "a", 60)?;
    let received = receive(&mut [&mut first, &mut second, &mut third], sent.len())?;
    expect_once(&received.concat(), &sent)?;
    ensure!(
        received.iter().all(|records| !records.is_empty()),
        "a member that holds partitions received nothing"
    );
    for member in [&mut first, &mut second, &mut third] {
        member.group_commit()?;
    }

    let left = clock::now();
    third.group_leave()?;
    gather(&mut [&mut first, &mut second])?;
    let took = left.elapsed();
    ensure!(took < membership.session() / 2, "the leaver's partitions were handed over after {took:?}");
    let sent = produce_round(&mut admin, &topic, "b", 60)?;
    let received = receive(&mut [&mut first, &mut second], sent.len())?;
    expect_once(&received.concat(), &sent)
}

/// A member that is killed is evicted by its session timeout and not before; what it had read without a commit is
/// read again by the others, and what they committed is not.
pub fn killed_member_is_evicted_and_its_uncommitted_records_come_again(scene: &Scene) -> Result<()> {
    let session = Duration::from_secs(6);
    let mut admin = scene.driver()?;
    let topic = scene.new_topic(&mut admin, PARTITIONS, &[])?;
    let group = scene.unique_name();
    let mut first = join(scene, &group, &topic, session)?;
    let mut second = join(scene, &group, &topic, session)?;
    let mut victim = join(scene, &group, &topic, session)?;
    gather(&mut [&mut first, &mut second, &mut victim])?;

    let sent = produce_round(&mut admin, &topic, "a", 60)?;
    let mut received = receive(&mut [&mut first, &mut second, &mut victim], sent.len())?;
    expect_once(&received.concat(), &sent)?;
    first.group_commit()?;
    second.group_commit()?;
    let uncommitted = received.pop().context("three members answered")?;
    ensure!(!uncommitted.is_empty(), "the victim received nothing, so nothing can come again");

    let killed = clock::now();
    victim.kill();
    let again = receive(&mut [&mut first, &mut second], uncommitted.len())?.concat();
    let took = killed.elapsed();
    // Its last heartbeat may be one heartbeat interval (a third of the session in Java) before the kill.
    ensure!(took > session / 3, "a member was evicted after {took:?} with a session timeout of {session:?}");
    let texts =
        |records: &[ReceivedRecord]| records.iter().map(ReceivedRecord::text).collect::<BTreeSet<_>>();
    expect_equal("records read again", &texts(&again), &texts(&uncommitted))?;
    gather(&mut [&mut first, &mut second])?;
    Ok(())
}

/// After a commit in the middle, a later member of the same group begins exactly there.
pub fn group_resumes_from_its_commits(scene: &Scene) -> Result<()> {
    group_resumes(scene, Membership::Classic { session: Duration::from_secs(20) })
}

/// The same by the consumer protocol: commits carry member epochs.
pub fn group_resumes_from_its_commits_by_the_consumer_protocol(scene: &Scene) -> Result<()> {
    group_resumes(scene, Membership::Consumer)
}

fn group_resumes(scene: &Scene, membership: Membership) -> Result<()> {
    let join = |group: &str, topic: &str| join_as(scene, group, topic, membership);
    let mut admin = scene.driver()?;
    let topic = scene.new_topic(&mut admin, PARTITIONS, &[])?;
    let group = scene.unique_name();
    let mut member = join(&group, &topic)?;
    let committed = produce_round(&mut admin, &topic, "a", 24)?;
    expect_once(&receive(&mut [&mut member], committed.len())?.concat(), &committed)?;
    member.group_commit()?;
    let uncommitted = produce_round(&mut admin, &topic, "b", 18)?;
    expect_once(&receive(&mut [&mut member], uncommitted.len())?.concat(), &uncommitted)?;
    member.group_leave()?;

    let mut later = join(&group, &topic)?;
    let resumed = receive(&mut [&mut later], uncommitted.len())?.concat();
    expect_once(&resumed, &uncommitted)?;
    // Nothing more may come: give a record too many the time to show.
    let more = group_poll(&mut [&mut later], Duration::from_secs(1))?;
    expect_equal("records after all were read", &more[0].records, &Vec::new())?;

    later.group_commit()?;
    later.group_leave()?;
    let mut last = join(&group, &topic)?;
    gather(&mut [&mut last])?;
    let nothing = group_poll(&mut [&mut last], Duration::from_secs(1))?;
    expect_equal("records when all are committed", &nothing[0].records, &Vec::new())
}

/// A group is listed from its first commit on, with its members and without them.
pub fn group_is_listed_while_it_has_offsets(scene: &Scene) -> Result<()> {
    let mut admin = scene.driver()?;
    let topic = scene.new_topic(&mut admin, PARTITIONS, &[])?;
    let group = scene.unique_name();
    ensure!(!admin.list_groups()?.contains(&group), "a group is listed that nobody joined");
    let mut member = join(scene, &group, &topic, Duration::from_secs(20))?;
    let sent = produce_round(&mut admin, &topic, "a", 12)?;
    expect_once(&receive(&mut [&mut member], sent.len())?.concat(), &sent)?;
    ensure!(admin.list_groups()?.contains(&group), "a group with a member is not listed");
    member.group_commit()?;
    member.group_leave()?;
    ensure!(admin.list_groups()?.contains(&group), "an empty group with offsets is not listed");
    Ok(())
}

pub(super) fn join(scene: &Scene, group: &str, topic: &str, session: Duration) -> Result<Driver> {
    join_as(scene, group, topic, Membership::Classic { session })
}

fn join_as(scene: &Scene, group: &str, topic: &str, membership: Membership) -> Result<Driver> {
    let mut member = scene.driver()?;
    member.group_join(group, topic, membership)?;
    Ok(member)
}

/// Polls until the members hold all partitions, each one once, and every member holds some. No record may come.
fn gather(members: &mut [&mut Driver]) -> Result<()> {
    let mut last = Vec::new();
    let formed = clock::poll_until(FORM_LIMIT, Duration::ZERO, || {
        let states = group_poll(members, POLL)?;
        let early: Vec<_> = states.iter().flat_map(|state| &state.records).collect();
        ensure!(early.is_empty(), "records came that were committed or never sent: {early:?}");
        last = assignments(&states);
        let mut held: Vec<i32> = last.concat();
        held.sort_unstable();
        let whole = held == (0..PARTITIONS).collect::<Vec<_>>() && last.iter().all(|held| !held.is_empty());
        Ok(whole.then_some(()))
    })?;
    formed.with_context(|| format!("the group did not form within {FORM_LIMIT:?}; the members hold {last:?}"))
}

fn assignments(states: &[MemberState]) -> Vec<Vec<i32>> {
    states.iter().map(|state| state.assignment.clone()).collect()
}

/// Polls until the members have received `count` records in total; what each received.
pub(super) fn receive(members: &mut [&mut Driver], count: usize) -> Result<Vec<Vec<ReceivedRecord>>> {
    let mut received = vec![Vec::new(); members.len()];
    let total = |received: &Vec<Vec<ReceivedRecord>>| received.iter().map(Vec::len).sum::<usize>();
    let whole = clock::poll_until(FORM_LIMIT, Duration::ZERO, || {
        for (mine, state) in received.iter_mut().zip(group_poll(members, POLL)?) {
            mine.extend(state.records);
        }
        Ok((total(&received) >= count).then_some(()))
    })?;
    let came = total(&received);
    whole.with_context(|| format!("{came} of {count} records came within {FORM_LIMIT:?}"))?;
    Ok(received)
}

/// Sends `count` records round-robin to all partitions; their values.
pub(super) fn produce_round(driver: &mut Driver, topic: &str, name: &str, count: i32) -> Result<Vec<String>> {
    let records: Vec<Record> = (0..count)
        .map(|number| Record::new(topic, number % PARTITIONS, &format!("{name}-{number}")))
        .collect();
    offsets(&driver.produce(&records, &ProduceOptions::default())?)?;
    Ok(records.iter().filter_map(|record| record.value.as_ref()).map(text).collect())
}

fn text(value: &crate::record::Bytes) -> String {
    String::from_utf8_lossy(&value.0).into_owned()
}

/// Each of `sent` was received once, and nothing else.
pub(super) fn expect_once(received: &[ReceivedRecord], sent: &[String]) -> Result<()> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in received {
        *counts.entry(record.text()).or_default() += 1;
    }
    let expected: BTreeMap<String, usize> = sent.iter().map(|value| (value.clone(), 1)).collect();
    expect_equal("how often each record was received", &counts, &expected)
}
